"""The files of the machine's own OTP are read as its BEAM reads them: term files, and the literals of compiled modules.

A sample of them; ``CORPORA=whole`` takes all.
"""

import os
from typing import Any

from pyerlnode.etf import decode, encode
from pyerlnode.term.order import identical
from pyerlnode.term.text import consult
from pyerlnode.testing.beam import Beam

WHOLE = os.environ.get("CORPORA") == "whole"
SAMPLE = 60
FILES = 'lists:sort(filelib:wildcard(filename:join([code:lib_dir(), "**", "*.{" ++ Kinds ++ "}"])))'
CONSULTED = """
    [begin
        {ok, Bytes} = file:read_file(F),
        Encoding = case epp:read_encoding(F) of none -> epp:default_encoding(); E -> E end,
        Text = unicode:characters_to_binary(Bytes, Encoding),
        Read = case file:consult(F) of {ok, Terms} -> term_to_binary(Terms); _ -> refused end,
        {unicode:characters_to_binary(F), Text, Read}
     end || F <- Files]
"""
LITERALS = """
    Inflated = fun(<<0:32, Plain/binary>>) -> Plain; (<<_:32, Z/binary>>) -> zlib:uncompress(Z) end,
    [case beam_lib:chunks(F, ["LitT"]) of
        {ok, {_, [{_, Chunk}]}} ->
            <<_:32, All/binary>> = Inflated(Chunk),
            Literals = [L || <<Size:32, L:Size/binary>> <= All],
            {Literals, [term_to_binary(binary_to_term(L), [{minor_version, 2}]) || L <- Literals]};
        _ -> {[], []}
     end || F <- Files]
"""


def sample(beam: Beam, kinds: str) -> list[Any]:
    files = beam.eval(FILES, Kinds=list(map(ord, kinds)))
    assert files
    return list(files if WHOLE else files[:: max(1, len(files) // SAMPLE)])


def test_term_files_are_read_as_consult_reads_them(beam: Beam) -> None:
    files = sample(beam, "app,appup,rel,script,config")
    read = 0
    for at in range(0, len(files), 100):
        for name, text, form in beam.eval(CONSULTED, Files=files[at : at + 100]):
            if isinstance(form, bytes):
                read += 1
                assert identical(consult(text.decode(), release=beam.otp), decode(form)), name.decode()
    assert read > SAMPLE // 2


def test_literals_of_compiled_modules_are_read_and_written_back(beam: Beam) -> None:
    files = sample(beam, "beam")
    met = 0
    for at in range(0, len(files), 100):
        for literals, written in beam.eval(LITERALS, Files=files[at : at + 100]):
            for literal, form in zip(literals, written, strict=True):
                met += 1
                value = decode(literal)
                assert identical(decode(encode(value)), value)
                assert identical(decode(form), value)
    assert met > SAMPLE
