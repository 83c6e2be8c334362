"""Child specifications: Python's forms, OTP's forms, and OTP's words for what is wrong with one."""

from typing import ClassVar

import pytest

from pyerlnode.errors import UsageError
from pyerlnode.otp.child_spec import BadChildSpec, child_of, child_spec, children_of, from_wire
from pyerlnode.otp.gen_server import GenServer
from pyerlnode.otp.supervisor import Supervisor
from pyerlnode.otp.task import Task
from pyerlnode.term import A

MODULE = A[f"{__name__}.Worker"]


class Worker(GenServer):
    pass


class Shy(GenServer):
    __erlang_module__ = "Elixir.Shy"
    child_options: ClassVar = {"restart": "transient", "shutdown": 0.1}


class Own(GenServer):
    @classmethod
    def child_spec(cls, number):
        return {"id": number, "start": (cls, [number])}


def function(x=1):
    return x


@pytest.mark.parametrize(
    ("form", "id", "mfa"),
    [
        (Worker, MODULE, (MODULE, A.start_link, [])),
        ((Worker, 1, 2), MODULE, (MODULE, A.start_link, [1, 2])),
        ({"id": "x", "start": Worker}, A.x, (MODULE, A.start_link, [])),
        ({"id": "x", "start": (Worker, [1])}, A.x, (MODULE, A.start_link, [1])),
        ({A.id: A.x, A.start: (Worker, (1,))}, A.x, (MODULE, A.start_link, [1])),
        ({"start": function}, A.function, (A[__name__], A.function, [])),
        ((function, 2), A.function, (A[__name__], A.function, [2])),
        ({"id": "x", "start": (A.m, A.f, [1])}, A.x, (A.m, A.f, [1])),
        (child_spec(Worker, 1, name="w"), A.w, (MODULE, A.start_link, [1, [(A.name, "w")]])),
        ((Own, 7), 7, (A[f"{__name__}.Own"], A.start_link, [7])),
        (Shy, A.Elixir.Shy, (A.Elixir.Shy, A.start_link, [])),
        ((Task, function), A.Elixir.Task, (A["pyerlnode.otp.task"], A.start_link, [function])),
    ],
)
def test_a_child_is_said_in_one_of_these_forms(form, id, mfa):
    spec = child_of(form)
    assert (spec.id, spec.start.mfa) == (id, mfa)


def test_what_is_not_said_is_otps_default():
    assert child_of(Worker).to_wire() == {
        A.id: MODULE, A.start: (MODULE, A.start_link, []), A.restart: A.permanent, A.significant: False,
        A.shutdown: 5000, A.type: A.worker, A.modules: [MODULE],
    }  # fmt: skip
    tree = child_of(Supervisor)
    assert (tree.type, tree.shutdown) == (A.supervisor, A.infinity)


def test_a_class_has_options_of_its_own_and_they_can_be_overridden():
    assert (child_of(Shy).restart, child_of(Shy).shutdown) == (A.transient, 0.1)
    assert child_spec(Shy, restart="temporary").restart is A.temporary


def test_time_is_seconds_in_python_and_milliseconds_on_the_wire():
    assert child_spec(Worker, shutdown=0.25).to_wire()[A.shutdown] == 250
    assert from_wire({A.id: 1, A.start: (A.m, A.f, []), A.shutdown: 250}).shutdown == 0.25


def test_otps_tuple_of_six_is_taken():
    spec = from_wire((A.x, (A.m, A.f, []), A.transient, A.brutal_kill, A.supervisor, A.dynamic))
    assert (spec.id, spec.restart, spec.shutdown, spec.type, spec.modules) == (
        A.x, A.transient, A.brutal_kill, A.supervisor, A.dynamic
    )  # fmt: skip


def test_an_id_may_be_any_term():
    assert from_wire({A.id: [1, {A.a: 2}], A.start: (A.m, A.f, [])}).id == [1, {A.a: 2}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"restart": "always"}, (A.invalid_restart_type, A.always)),
        ({"type": "helper"}, (A.invalid_child_type, A.helper)),
        ({"shutdown": -1}, (A.invalid_shutdown, -1)),
        ({"shutdown": True}, (A.invalid_shutdown, True)),
        ({"significant": "yes"}, (A.invalid_significant, "yes")),
        ({"modules": "m"}, (A.invalid_modules, "m")),
        ({"modules": [1]}, (A.invalid_module, 1)),
        ({"start": 7}, (A.invalid_mfa, 7)),
    ],
)
def test_what_is_wrong_is_said_in_otps_words(change, reason):
    with pytest.raises(BadChildSpec) as caught:
        child_of({"id": "x", "start": Worker, **change})
    assert caught.value.reason == reason


def test_a_key_that_otp_does_not_know_is_a_mistake():
    with pytest.raises(UsageError, match="it has no restrat"):
        child_of({"id": "x", "start": Worker, "restrat": "transient"})


def test_a_significant_child_may_not_be_permanent():
    with pytest.raises(BadChildSpec) as caught:
        children_of([child_spec(Worker, significant=True)], A.any_significant)
    assert caught.value.reason == (A.bad_combination, [(A.restart, A.permanent), (A.significant, True)])
