from pyerlnode import A


def test_it(beam, erl_node):
    assert beam.eval("net_adm:ping(N)", N=A[erl_node.name]) is A.pong
    assert erl_node.rpc(beam.name, "erlang", "node", []) is beam.node


def test_process(beam, python_node):
    ours = python_node()
    ours.connect(beam.name)
    assert beam.eval("net_adm:ping(N)", N=ours.node) is A.pong


def test_more(beam_factory):
    beam_factory()
