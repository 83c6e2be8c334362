"""gen_statem's law as chains of values: no process, no clock."""

import pytest

from pyerlnode.otp.gen_statem_core import (
    Answer,
    CancelTimer,
    Core,
    End,
    Fail,
    Hibernate,
    Invoke,
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    ReplyTo,
    StartTimer,
    StopAndReply,
    UpdateTimeout,
    event_timeout,
    state_timeout,
    timeout,
)
from pyerlnode.otp.results import Stop
from pyerlnode.term import A
from pyerlnode.term.exact import key


def run(core, step, script):
    """Answer every callback from `script`; gives the callbacks that were made and the effects."""
    made, effects = [], []
    while True:
        done, invoke = step
        effects += done
        if invoke is None:
            assert not script, f"never asked for: {script}"
            return made, effects
        made.append((invoke.kind, invoke.content, invoke.state))
        step = core.returned(script.pop(0) if script else None)


def ended(step, *words):
    """The step is the end of the machine, by an error of one of these."""
    effects, invoke = step
    assert invoke is None
    assert type(effects[-1]) is Fail
    assert effects[-1].error.reason[0] in words


def event(core, content, *script):
    return run(core, core.arrived(A.cast, content), list(script))


def test_an_event_is_handled_in_the_state_and_none_keeps_it():
    core = Core(1)
    assert core.started() == ([], None)
    assert event(core, "a") == ([(A.cast, "a", 1)], [])
    assert event(core, "b", NextState(2)) == ([(A.cast, "b", 1)], [])
    assert event(core, "c", KeepState(Hibernate())) == ([(A.cast, "c", 2)], [])


def test_what_stands_behind_hibernate_is_done_too():
    core = Core(1)
    core.started()
    assert event(core, "a", KeepState(Hibernate(), ReplyTo(A.me, 1)))[1] == [Answer(A.me, 1)]


def test_postponed_events_come_back_in_order_when_the_state_changes_and_not_before():
    core = Core(1)
    event(core, "a", KeepState(Postpone()))
    event(core, "b", KeepState(Postpone()))
    assert event(core, "c", KeepState())[0] == [(A.cast, "c", 1)]
    assert event(core, "d", RepeatState())[0] == [(A.cast, "d", 1)]
    made, _ = event(core, "e", NextState(2), KeepState(Postpone()), None)
    assert made == [(A.cast, "e", 1), (A.cast, "a", 2), (A.cast, "b", 2)]
    assert core.postponed == [(A.cast, "a")]


def test_an_event_that_changes_the_state_and_is_postponed_comes_back_in_the_new_one():
    core = Core(1)
    assert event(core, "a", NextState(2, Postpone()))[0] == [(A.cast, "a", 1), (A.cast, "a", 2)]


def test_a_state_that_only_looks_equal_is_another_one():
    core = Core(1)
    event(core, "a", KeepState(Postpone()))
    assert [m[2] for m in event(core, "b", NextState(1.0))[0]] == [1, 1.0]
    assert [m[2] for m in event(core, "c", NextState(True, Postpone()))[0]] == [1.0, True]


def test_next_events_come_first_in_their_order_and_before_postponed_ones():
    core = Core(1)
    event(core, "p", KeepState(Postpone()))
    made, _ = event(core, "a", NextState(2, NextEvent(A.internal, "x"), NextEvent(A.internal, "y")))
    assert made[1:] == [(A.internal, "x", 2), (A.internal, "y", 2), (A.cast, "p", 2)]


def test_answers_come_in_the_order_of_the_actions():
    core = Core(1)
    _, effects = event(core, "a", KeepState(ReplyTo(1, "x"), ReplyTo(2, "y")))
    assert effects == [Answer(1, "x"), Answer(2, "y")]


def test_a_state_time_out_ends_with_the_state_and_one_set_while_leaving_is_of_the_new_state():
    core = Core(1)
    assert event(core, "a", KeepState(state_timeout(5.0, "t")))[1] == [StartTimer(A.state_timeout, 5.0, 1)]
    assert event(core, "b", RepeatState())[1] == []
    effects = event(core, "c", NextState(2, state_timeout(6.0)))[1]
    assert effects == [CancelTimer(A.state_timeout), StartTimer(A.state_timeout, 6.0, 2)]
    assert core.fired(A.state_timeout, 1) == ([], None)
    assert run(core, core.fired(A.state_timeout, 2), [])[0] == [(A.state_timeout, A.state_timeout, 2)]


def test_any_event_cancels_the_event_time_out():
    core = Core(1)
    event(core, "a", KeepState(event_timeout(1.0, "t")))
    assert event(core, "b")[1] == [CancelTimer(A.timeout)]
    event(core, "a", KeepState(event_timeout(1.0, "t")))
    assert run(core, core.fired(A.timeout, 2), [])[0] == [(A.timeout, "t", 1)]


def test_a_generic_time_out_survives_events_and_states_and_is_set_anew_or_cancelled_by_name():
    core = Core(1)
    one = (A.timeout, "one")
    event(core, "a", NextState(2, timeout("one", 1.0, "x"), timeout("two", 1.0)))
    assert event(core, "b", NextState(3))[1] == []
    assert event(core, "c", KeepState(timeout("one", 2.0, "y")))[1] == [StartTimer(one, 2.0, 3)]
    assert core.fired(one, 1) == ([], None)
    assert event(core, "d", KeepState(timeout("one", None)))[1] == [CancelTimer(one)]
    assert event(core, "e", KeepState(timeout("one", None)))[1] == []
    assert list(core.timers) == [key((A.timeout, "two"))]


def test_update_changes_the_content_of_a_running_time_out_and_fires_one_that_does_not_run():
    core = Core(1)
    event(core, "a", KeepState(state_timeout(1.0, "x")))
    assert event(core, "b", KeepState(UpdateTimeout(A.state_timeout, "y")))[1] == []
    assert run(core, core.fired(A.state_timeout, 1), [])[0] == [(A.state_timeout, "y", 1)]
    assert event(core, "c", KeepState(UpdateTimeout(A.state_timeout, "z")))[0][1:] == [(A.state_timeout, "z", 1)]


def test_a_time_out_of_zero_is_an_event_behind_the_queue_and_an_event_time_out_only_of_an_empty_one():
    core = Core(1)
    zero = KeepState(event_timeout(0, "e"), timeout("n", 0, "n"), state_timeout(0, "s"))
    made, effects = event(core, "a", zero)
    assert made[1:] == [(A.timeout, "e", 1), ((A.timeout, "n"), "n", 1), (A.state_timeout, "s", 1)]
    made, _ = event(core, "a", KeepState(timeout("n", 0, "n"), event_timeout(0, "e")))
    assert made[1:] == [((A.timeout, "n"), "n", 1)]
    assert effects == []
    assert event(core, "b", KeepState(event_timeout(0, "e")))[0][1:] == [(A.timeout, "e", 1)]
    made, _ = event(core, "c", KeepState(state_timeout(0, "s"), NextEvent(A.internal, "i")))
    assert made[1:] == [(A.internal, "i", 1), (A.state_timeout, "s", 1)]


def test_the_last_time_out_of_a_name_counts():
    core = Core(1)
    assert event(core, "a", KeepState(state_timeout(1.0), state_timeout(2.0)))[1] == [
        StartTimer(A.state_timeout, 2.0, 1)
    ]


def test_state_enter_calls_come_at_the_start_and_at_each_change_before_anything_else():
    core = Core(1, enter_calls=True)
    assert run(core, core.started(), [])[0] == [(A.enter, 1, 1)]
    event(core, "p", KeepState(Postpone()))
    made, effects = event(core, "a", NextState(2, NextEvent(A.internal, "i")), KeepState(state_timeout(1.0)))
    assert made == [(A.cast, "a", 1), (A.enter, 1, 2), (A.internal, "i", 2), (A.cast, "p", 2)]
    assert effects == [StartTimer(A.state_timeout, 1.0, 1)]
    assert event(core, "b", NextState(2))[0] == [(A.cast, "b", 2)]


def test_repeat_state_repeats_the_enter_call_and_keeps_postponed_events_and_time_outs():
    core = Core(1, enter_calls=True)
    run(core, core.started(), [KeepState(state_timeout(1.0))])
    event(core, "p", KeepState(Postpone()))
    made, effects = event(core, "a", RepeatState())
    assert made == [(A.cast, "a", 1), (A.enter, 1, 1)]
    assert effects == []
    assert core.postponed == [(A.cast, "p")]


@pytest.mark.parametrize("result", [NextState(3), KeepState(Postpone()), KeepState(NextEvent(A.internal, 1))])
def test_a_state_enter_call_can_not_change_the_state_postpone_or_insert(result):
    core = Core(1, enter_calls=True)
    core.started()
    ended(
        core.returned(result),
        A.bad_state_enter_return_from_state_function,
        A.bad_state_enter_action_from_state_function,
    )


@pytest.mark.parametrize("result", [1, (A.keep_state,), KeepState(1), A.next_state])
def test_what_is_no_result_is_an_error(result):
    core = Core(1)
    core.arrived(A.cast, 1)
    ended(core.returned(result), A.bad_return_from_state_function, A.bad_action_from_state_function)


def test_answers_before_a_bad_action_are_given():
    core = Core(1)
    core.arrived((A.call, "from"), 1)
    effects, invoke = core.returned(KeepState(ReplyTo("from", 2), A.junk))
    assert invoke is None
    assert effects[0] == Answer("from", 2)
    assert effects[1].error.reason == (A.bad_action_from_state_function, A.junk)


def test_postpone_in_the_actions_of_init_is_an_error():
    ended(Core(1).started((Postpone(),)), A.bad_action_from_state_function)


def test_a_stop_answers_first_and_nothing_comes_after_it():
    core = Core(1)
    core.arrived((A.call, "from"), 1)
    assert core.returned(Stop(A.bye, reply=2)) == ([Answer("from", 2), End(A.bye)], None)
    core = Core(1)
    core.arrived(A.cast, 1)
    assert core.returned(StopAndReply(A.bye, ReplyTo("f", 1), ReplyTo("g", 2))) == (
        [Answer("f", 1), Answer("g", 2), End(A.bye)],
        None,
    )


def test_the_actions_of_init_are_carried_out_before_the_first_event():
    core = Core(1)
    step = core.started((NextEvent(A.internal, "go"), timeout("t", 1.0)))
    assert step[1] == Invoke(A.internal, "go", 1)
    assert step[0] == [StartTimer((A.timeout, "t"), 1.0, 1)]


def test_an_absolute_time_out_is_a_moment_and_one_that_has_passed_is_a_timer_too():
    core = Core("a")
    effects = event(core, "c", KeepState(timeout("t", -3.0, "x", absolute=True)))[1]
    assert effects == [StartTimer((A.timeout, "t"), -3.0, 1, True)]
    effects = event(core, "c", KeepState(timeout("t", 9.0, "y", absolute=True)))[1]
    assert effects[-1] == StartTimer((A.timeout, "t"), 9.0, 2, True)
