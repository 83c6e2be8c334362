"""What observer asks of a node about its processes."""

import gevent
import pytest

from pyerlnode.errors import Error
from pyerlnode.kernel.inspection import Inspection
from pyerlnode.kernel.remote.exports import Exports
from pyerlnode.otp import gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from pyerlnode.term.pid import Pid


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def test_process_info_is_erlangs(system):
    asked = Inspection(system, lambda kinds: [])
    named, other = gen_server.start(system, GenServer, name="x"), gen_server.start(system, GenServer)
    assert asked.process_info(named, A.registered_name) == (A.registered_name, A.x)
    assert asked.process_info(other, A.registered_name) == []
    assert dict(asked.process_info(other))[A.message_queue_len] == 0
    assert asked.process_info(other, [A.status, A.registered_name]) == [(A.status, A.waiting), (A.registered_name, [])]
    assert asked.translate_initial_call(named)[1:] == (A.init, 1)
    assert asked.whereis(A.x) == named
    assert asked.whereis(A.nobody) is A.undefined
    assert {named, other} <= set(asked.processes())
    system.send(other, object())
    assert asked.process_info(other, A.messages)[1][0].startswith("<object")
    assert asked.is_process_alive(other)
    system.exit(other, A.kill)
    assert not asked.is_process_alive(other)
    assert asked.process_info(other) is A.undefined
    assert asked.translate_initial_call(other) == (A.proc_lib, A.init_p, 5)


def test_what_is_no_process_of_here_or_no_item_is_badarg(system):
    asked = Inspection(system, lambda kinds: [])
    away = Pid(A["other@host"], 1, 0, 1)
    for call, *args in (
        (asked.process_info, away), (asked.process_info, system.root.pid, A.what), (asked.is_process_alive, 1),
        (asked.whereis, 1),
    ):  # fmt: skip
        with pytest.raises(Error) as caught:
            call(*args)
        assert caught.value.reason is A.badarg


def test_what_a_program_exports_goes_first(system):
    exports = Exports()
    exports.add("erlang", lambda name: A.mine, "whereis")
    Inspection(system, lambda kinds: []).install(exports)
    assert exports.find(A.erlang, A.whereis, 1)(A.x) is A.mine
    assert exports.find(A.erlang, A.process_info, 2) is not None
