"""Any term in any envelope, at every registered process of a live node: each of them gives its service afterwards.

The messages come from another node over a connection, so they are what a peer can really send. One that costs the
life of a process is a failure, and so is one that only the last net (`otp.service`) has caught: what a message may look
like is checked where it is taken apart.
"""

import logging
from random import Random

import pytest

from pyerlnode import A
from pyerlnode.signal import SpawnRequest
from pyerlnode.term.pid import Pid
from tests.helpers import hostile
from tests.helpers.two_nodes import SOON, Asked, two_nodes

MESSAGES = 120


@pytest.fixture(params=[False, True], ids=["visible", "hidden"])
def asked(request, capsys):
    with two_nodes(hidden=request.param) as (one, other), Asked(one, other, lambda: capsys.readouterr().out) as asked:
        yield asked


def registered(node):
    return dict(node.system.registry.names)


@pytest.mark.parametrize("seed", range(3))
def test_every_registered_process_serves_after_any_message(asked, seed, caplog):
    caplog.set_level(logging.ERROR)
    rng = Random(seed)
    before = registered(asked.one)
    for name in before:
        for _ in range(MESSAGES):
            asked.other.send((name, asked.one.name), hostile.message(rng))
        asked.other.send((name, asked.one.name), (A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), A.resume))
        asked.other.send((name, asked.one.name), (A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), (A.debug, A.no_debug)))
    asked.all()
    assert registered(asked.one) == before
    assert [record.getMessage() for record in caplog.records if record.name == "pyerlnode.service"] == []


@pytest.mark.parametrize("seed", range(2))
def test_every_process_of_the_kernel_serves_after_any_message_to_its_pid(asked, seed, caplog):
    """Also those without a name: the locker and the registrar of `global`, the root process, whoever is alive."""
    caplog.set_level(logging.ERROR)
    rng = Random(seed)
    before = dict(asked.one.system.processes)
    for process in before.values():
        for _ in range(MESSAGES):
            asked.other.send(process.pid, hostile.message(rng))
        asked.other.send(process.pid, (A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), A.resume))
        asked.other.send(process.pid, (A.system, (Pid(hostile.OTHER, 1, 0, 1), 1), (A.debug, A.no_debug)))
    asked.all()
    assert all(process.alive for process in before.values() if process.name is not None)
    assert [record.getMessage() for record in caplog.records if record.name == "pyerlnode.service"] == []


@pytest.mark.parametrize("seed", range(2))
def test_spawn_requests_with_any_options_and_functions_are_answered(asked, seed):
    rng = Random(seed)
    one, other = asked.one, asked.other
    me = other.system.adopt()
    for _ in range(60):
        ref = other.system.new_ref()
        answers = []
        peer = other.system.peer(A[one.name])
        peer.spawns[ref.words] = answers.append
        options = rng.choice(
            ([A.monitor], [], [A.link], hostile.term(rng), [hostile.term(rng), (hostile.term(rng), 1)])
        )
        mfa = (A[rng.choice(hostile.WORDS)], A[rng.choice(hostile.ATTRIBUTES)], rng.randrange(256))
        if any(type(part) is bool or part is None for part in mfa):
            continue
        args = rng.choice(([], [1], [hostile.term(rng)], [hostile.deep("list"), 2]))
        peer.route.send(SpawnRequest(ref, me.pid, me.pid, mfa, options, args))
        asked.ask("net_kernel")
        assert len(answers) == 1
    me.trap_exit = True
    asked.all()


@pytest.mark.parametrize("seed", range(3))
def test_a_device_answers_every_request_that_names_a_client(asked, seed, tmp_path):
    """Reads, too: from a file of its own, since they take what others want to read."""
    rng = Random(seed)
    one, other = asked.one, asked.other
    source = tmp_path / "in"
    source.write_text("one two.\nthree\n" * 50)
    with source.open() as file, (tmp_path / "out").open("w") as sink:
        device = one.open_device(sink, file)
        me = other.self_()
        for number in range(150):
            request = hostile.fill(rng, rng.choice((*hostile.READS, *hostile.IO_REQUESTS)))
            other.send(device, (A.io_request, me, number, request))
            assert other.receive(lambda m: m[:2] == (A.io_reply, number), SOON)[0] is A.io_reply  # noqa: B023
        assert one.system.process(device) is not None
        one.exit(device, A.kill)
    asked.all()
