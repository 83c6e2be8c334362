"""Random scripts, carried out by OTP's own modules on a BEAM and by ours, and what is seen of both compared.

    python -m interop_tests.differential --seeds 5000 --beam "beam 27" actors gen_statem

A script is a term: what a pure generator makes of a seed. Its steps are total: what can not be done is skipped on
both sides, so any part of a script is one, and one that fails is cut down before it is shown. No step depends on
speed: order is forced by messages, and a time-out is one that has come, or one that does not come.

A kind of script is a module here, with its generator and the Python that carries it out, and one of `beam_src`, which
drives both sides and gives the trace. Scripts that once failed are in `kept`, as texts: a seed means another script as
soon as its generator changes.
"""
