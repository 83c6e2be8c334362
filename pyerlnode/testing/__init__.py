"""Testing against a real BEAM: a pytest plugin, and the classes behind its fixtures.

    def test_the_beam_reaches_us(beam, erl_node):
        assert beam.eval("net_adm:ping(Node)", Node=A[erl_node.name]) == A.pong

See `docs/testing.md`. Importing this package is cheap: gevent is imported by the fixtures that need it.
"""
