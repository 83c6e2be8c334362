"""Global and Via: names that a service keeps, as destinations and to register under."""

import gevent
import pytest

from pyerlnode.errors import AlreadyStarted, NoProc, StartFailed, UsageError
from pyerlnode.otp import gen, gen_server
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.results import Reply
from pyerlnode.runtime.names import Global, LocalNames, Via
from pyerlnode.runtime.system import System
from pyerlnode.term import A
from tests.helpers.hostile import ALIKE


class Echo(GenServer):
    def init(self, fail=False):
        self.seen = []
        if fail:
            raise ValueError("no")

    def handle_call(self, request, from_):
        return Reply(self.seen if request is A.seen else request)

    def handle_info(self, message):
        self.seen.append(message)


@pytest.fixture
def system():
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


def names(system):
    return [Global("it"), Via(LocalNames(system), ("room", 7)), Via("global", A.x)]


def test_a_server_is_called_cast_and_monitored_by_its_global_and_via_name(system):
    for name in names(system):
        pid = gen_server.start(system, Echo, name=name)
        assert system.whereis(name) == pid
        assert gen.call(system, name, 42) == 42
        system.send(name, A.hello)
        assert gen.call(system, name, A.seen) == [A.hello]
        me = system.adopt()
        ref = system.monitor(me, name)
        system.exit(pid, A.kill)
        assert me.receive(None, 0) == (A.DOWN, ref, A.process, pid, A.killed)
        assert system.whereis(name) is None


def test_a_name_that_nobody_has_is_noproc_for_a_call_and_drops_a_message(system):
    for name in names(system):
        system.send(name, A.hello)
        with pytest.raises(NoProc):
            gen.call(system, name, 1)


def test_a_taken_name_names_its_holder(system):
    for name in [*names(system), "local"]:
        pid = gen_server.start(system, Echo, name=name)
        with pytest.raises(AlreadyStarted) as caught:
            gen_server.start(system, Echo, name=name)
        assert caught.value.pid == pid
        assert len(system.processes) == 2
        system.exit(pid, A.kill)


def test_a_failed_init_leaves_no_name_behind(system, caplog):
    for name in names(system):
        with pytest.raises(StartFailed):
            gen_server.start(system, Echo, (True,), name=name)
        assert system.whereis(name) is None


def test_a_name_can_be_given_back_and_taken_again(system):
    service = LocalNames(system)
    for name in ALIKE:
        taken = gen_server.start(system, Echo)
        assert service.register_name(name, taken)
        assert not service.register_name(name, taken)
        assert service.whereis_name(name) == taken
    assert len(service.registered_names()) == len(ALIKE)
    assert all(service.unregister_name(name) for name in ALIKE)
    assert service.registered_names() == []
    pid = gen_server.start(system, Echo, name=Via(service, 1))
    assert service.unregister_name(1)
    assert not service.unregister_name(1)
    other = gen_server.start(system, Echo, name=Via(service, 1))
    system.exit(pid, A.kill)
    assert service.registered_names() == [1]
    assert service.whereis_name(1) == other


def test_an_unknown_or_unfit_service_is_an_error_of_the_caller(system):
    with pytest.raises(UsageError, match="no name service nobody"):
        gen.call(system, Via("nobody", 1), 1)
    with pytest.raises(UsageError, match="register_name"):
        gen_server.start(system, Echo, name=Via(object(), 1))


def test_a_service_under_an_atom_serves_via(system):
    system.name_services[A.shop] = LocalNames(system)
    pid = gen_server.start(system, Echo, name=Via(A.shop, 1))
    assert system.name_services[A.shop].whereis_name(1) == pid
