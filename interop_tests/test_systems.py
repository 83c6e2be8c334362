"""Systems of others as fixtures: where they are installed, real ones; what is asked of them where they are not."""

import shutil
import socket

import pytest

from interop_tests.test_plugin import Run
from pyerlnode import A, Node
from pyerlnode.testing import BeamSystems
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.systems import RabbitMQ

DECLARE = """
{new, _} = rabbit_amqqueue:declare({resource, <<"/">>, queue, <<"of_the_test">>}, true, false, [], none, <<"test">>), ok
"""


MISSING = all(shutil.which(RabbitMQ.program, path=path) is None for path in (RabbitMQ.place, None))


@pytest.mark.skipif(MISSING, reason="no rabbitmq-server on this machine (Debian: apt install rabbitmq-server)")
def test_a_broker_is_a_node_that_keeps_its_data_when_it_is_killed(
    beam_system: BeamSystems, beam: Beam, erl_node: Node
) -> None:
    rabbit = beam_system("rabbitmq", cookie=beam.cookie)
    assert erl_node.rpc(rabbit.name, "rabbit", "is_running", []) is True
    assert beam.eval("net_adm:ping(N)", N=rabbit.node) is A.pong
    with socket.create_connection(("127.0.0.1", rabbit.amqp_port), timeout=patience()) as client:
        client.sendall(b"nonsense")
        assert client.recv(4) == b"AMQP"
    rabbit.eval(DECLARE)
    rabbit.restart()
    assert rabbit.eval("[element(4, Name) || Q <- rabbit_amqqueue:list(), Name <- [amqqueue:get_name(Q)]]") == [
        b"of_the_test"
    ]
    assert erl_node.rpc(rabbit.name, "rabbit", "is_running", []) is True


def test_a_system_that_is_not_there_is_said_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from pyerlnode.testing.systems import RabbitMQ
RabbitMQ.program = RabbitMQ.place = "/no/where"
def test_missing(beam_system):
    beam_system("rabbitmq")
def test_unknown(beam_system):
    beam_system("rabbit")
"""
    status, output = run(source)
    assert status == 1
    assert "no `/no/where` on this machine (Debian: apt install rabbitmq-server)" in output
    assert "beam_system('rabbit'): give one of rabbitmq" in output


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, beam_session: Beam) -> Run:
    return Run(tmp_path_factory.mktemp("run"), beam_session)
