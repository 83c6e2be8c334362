"""Applications: order, dependencies, environments, what the end of one means."""

from typing import ClassVar

import gevent
import pytest
from turns import turns

from pyerlnode.errors import UsageError
from pyerlnode.otp import gen, gen_server, sys
from pyerlnode.otp.agent import Agent
from pyerlnode.otp.application import Application, ApplicationError, Applications
from pyerlnode.otp.child_spec import child_spec
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.runtime.system import System
from pyerlnode.term import A

events = []


class Base(Application):
    def start(self, type, args):
        events.append(f"start {self.name}")
        child = Agent.child_spec(lambda: self.get_env("value"), name=f"{self.name}_agent")
        return Supervisor.start_link([child], max_restarts=0, name=f"{self.name}_sup")

    def prep_stop(self):
        events.append(f"prep_stop {self.name}")

    def stop(self):
        events.append(f"stop {self.name}")


class Stock(Base):
    name = "stock"
    description = "what there is"
    vsn = "1.2"
    env: ClassVar = {"value": 7}


class Mail(Base):
    name = "mail"


class Shop(Base):
    name = "shop"
    applications = (Stock, Mail)


class Broken(Base):
    name = "broken"
    applications = (Stock,)

    def start(self, type, args):
        raise ValueError("not today")


@pytest.fixture
def system():
    events.clear()
    system = System("t@local", 7)
    yield system
    system.stop()
    gevent.sleep(0)


@pytest.fixture
def apps(system):
    return Applications.of(system)


def settle():
    turns(8)


def test_dependencies_start_first_and_all_stop_in_reverse(apps):
    assert apps.ensure_all_started(Shop) == ["stock", "mail", "shop"]
    assert apps.ensure_all_started(Shop) == []
    assert [name for name, _, _ in apps.which_applications()] == ["shop", "mail", "stock"]
    events.clear()
    apps.stop_all()
    expected = [f"{what} {name}" for name in ("shop", "mail", "stock") for what in ("prep_stop", "stop")]
    assert events == expected
    assert apps.which_applications() == []


def test_start_refuses_as_otp(apps):
    with pytest.raises(ApplicationError) as caught:
        apps.start(Shop)
    assert caught.value.reason == (A.not_started, A.stock)
    apps.start(Stock)
    with pytest.raises(ApplicationError) as caught:
        apps.start(Stock)
    assert caught.value.reason == (A.already_started, A.stock)
    with pytest.raises(ApplicationError) as caught:
        apps.stop(Mail)
    assert caught.value.reason == (A.not_started, A.mail)


def test_what_was_started_for_one_that_fails_is_stopped_again(apps, caplog):
    with pytest.raises(ApplicationError) as caught:
        apps.ensure_all_started(Broken)
    assert caught.value.reason[0][:2] == (A.python_error, b"ValueError")
    assert apps.which_applications() == []
    assert events == ["start stock", "prep_stop stock", "stop stock"]


def test_the_environment(system, apps):
    assert apps.get_env(Stock, "value") == 7
    apps.put_env("stock", "value", 8)
    apps.start(Stock)
    assert Agent.get("stock_agent", lambda v: v, on=system) == 8
    assert apps.get_env("stock", "nothing", "default") == "default"
    assert apps.get_all_env(Stock) == {"value": 8}


@pytest.mark.parametrize(
    ("type", "reason", "left"),
    [
        ("temporary", A.boom, ["mail"]),
        ("transient", A.normal, ["mail"]),
        ("transient", A.boom, []),
        ("permanent", A.normal, []),
        ("permanent", A.boom, []),
    ],
)
def test_the_type_says_what_the_end_of_the_tree_means(system, apps, caplog, type, reason, left):
    apps.start(Mail)
    apps.start(Stock, type)
    sys.terminate(system, "stock_sup", reason)
    settle()
    assert [name for name, _, _ in apps.which_applications()] == left
    assert "stop stock" in events
    assert ("stop mail" in events) is (not left)


def test_applications_that_need_each_other_are_refused(apps):
    class One(Base):
        name = "one"

    class Two(Base):
        name = "two"
        applications = (One,)

    One.applications = (Two,)
    with pytest.raises(UsageError, match="one → two → one"):
        apps.ensure_all_started(One)


def test_the_beam_is_told_which_run(system, apps):
    apps.start(Stock)
    told = gen.call(system, "application_controller", A.which_applications)
    assert [(name, str(what), str(vsn)) for name, what, vsn in told] == [(A.stock, "what there is", "1.2")]
    assert gen.call(system, "application_controller", (A.is_running, A.stock)) is True


def test_a_node_that_stops_ends_applications_and_then_trees_in_the_reverse_order_of_their_start(system, apps):
    class Slow(GenServer):
        def init(self, name):
            self.process.trap_exit = True
            self.name = name

        def terminate(self, reason):
            gevent.sleep(0.001)  # whoever does not wait for it comes before it
            events.append(self.name)

    me = system.adopt()
    me.trap_exit = True
    for tree in "xy":
        children = [child_spec(Slow, f"{tree}{number}", id=number) for number in (1, 2)]
        gen_server.start(system, Supervisor, (children,), name=tree)
    apps.ensure_all_started(Shop)
    events.clear()
    report = system.shut_down(5.0)
    assert report
    shown = [event for event in events if not event.startswith("prep")]
    assert shown == ["stop shop", "stop mail", "stop stock", "y2", "y1", "x2", "x1"]


def test_an_application_that_does_not_stop_leaves_the_others_their_time(system, apps):
    class Stuck(Base):
        name = "stuck"

        def prep_stop(self):
            gevent.sleep(60)

    ended = []

    class Last(GenServer):
        def terminate(self, reason):
            ended.append(reason)

    gen_server.start(system, Last)
    gen_server.start(system, Supervisor, ([Last],), name="tree")
    apps.start(Stock)
    apps.start(Stuck)
    report = system.shut_down(0.4)
    assert not report
    assert any("prep_stop" in line for stuck in report.stuck for line in stuck.stack)
    assert A.shutdown in ended
    assert system.registry.whereis("tree") is None
