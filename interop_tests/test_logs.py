"""Logs across nodes: Python's records in a BEAM's logger, a BEAM's events in Python's `logging`."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pyerlnode import A, Atom, GenServer, Stop
from pyerlnode.errors import Exit
from pyerlnode.kernel.io.logger import ErlangHandler
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for
from tests.helpers import hostile

COLLECT = """Me = self(), P = spawn(fun F() -> receive {get, To} -> To ! {events, lists:reverse(get(e))}, F();
                 {event, E} -> put(e, [E | case get(e) of undefined -> []; L -> L end]), F() end end),
             F = fun(E, _) -> P ! {event, E}, ignore end,
             ok = logger:add_primary_filter(collect, {F, none}), P"""
EVENTS = """P ! {get, self()}, receive {events, L} ->
            [{L1, M, maps:with([pid, line, domain, crash_reason, python], T)} ||
                #{level := L1, msg := M, meta := #{python := _} = T} <- L] after 60000 -> none end"""


@pytest.fixture
def collector(beam: Beam) -> Iterator[Any]:
    pid = beam.eval(COLLECT)
    beam.eval('P ! {event, #{level => info, msg => {string, ""}, meta => #{}}}', P=pid)
    yield pid
    beam.eval("logger:remove_primary_filter(collect), exit(P, kill)", P=pid)


@pytest.fixture
def log(node: Any, beam: Beam) -> Iterator[logging.Logger]:
    """A logger of Python whose records go to the BEAM."""
    logger = logging.getLogger("shop.orders")
    handler = node.log_handler(beam.name)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def test_pythons_records_reach_the_logger_of_the_beam_with_metadata(
    beam: Beam, node: Any, log: logging.Logger, collector: Any
) -> None:
    me = node.self_()
    log.warning("stock of %s is low", "äpfel")
    wait_for(lambda: len(beam.eval(EVENTS, P=collector)) == 1)
    [(level, (kind, text), meta)] = beam.eval(EVENTS, P=collector)
    assert (level, kind, text.decode()) == (A.warning, A.string, "stock of äpfel is low")
    assert meta[A.pid] == me
    assert meta[A.domain] == [A.python, A.shop, A.orders]
    assert meta[A.python][A.logger] == b"shop.orders"
    assert isinstance(meta[A.line], int)


def test_levels_and_exceptions_are_told_in_the_beams_words(beam: Beam, log: logging.Logger, collector: Any) -> None:
    for level in (logging.DEBUG, logging.INFO, 25, logging.ERROR, logging.CRITICAL):
        log.log(level, "x")
    try:
        raise ValueError("bad stock")
    except ValueError:
        log.exception("failed")
    beam.eval("logger:set_primary_config(level, all)")
    wait_for(lambda: any(A.crash_reason in meta for _, _, meta in beam.eval(EVENTS, P=collector)))
    events = beam.eval(EVENTS, P=collector)
    levels = [level for level, _, _ in events]
    assert [level for level in levels if level not in (A.debug, A.info)] == [A.notice, A.error, A.critical, A.error]
    reason, stack = events[-1][2][A.crash_reason]
    assert reason == (A.python_error, b"ValueError", b"bad stock")
    assert stack[0][1] is A.test_levels_and_exceptions_are_told_in_the_beams_words
    beam.eval("logger:set_primary_config(level, notice)")


def test_a_handler_takes_records_from_any_thread(beam: Beam, log: logging.Logger, collector: Any) -> None:
    threads = [threading.Thread(target=log.error, args=("from thread %d", n)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: len(beam.eval(EVENTS, P=collector)) == 5)


def test_what_can_not_be_sent_is_counted_and_nobody_waits(node: Any) -> None:
    handler = node.log_handler("nobody_here@127.0.0.1")
    logger = logging.getLogger("shop.lost")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        for number in range(20):
            logger.error("lost %d", number)
        wait_for(lambda: handler.dropped == 20)
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.propagate = True


def test_a_queue_that_is_full_drops(node: Any) -> None:
    handler = node.log_handler("nobody_here@127.0.0.1")
    handler._size = 5
    for _ in range(8):
        handler.handle(logging.LogRecord("x", logging.ERROR, "f.py", 1, "text", (), None))
    assert handler.dropped == 3
    handler.close()


def test_events_of_processes_with_a_python_group_leader_come_to_python(
    beam: Beam, node: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "erlang")
    node.receive_logs()
    pid = node.spawn_on(beam.name, "logger", "warning", [b"from ~p", [A.beam]])
    wait_for(lambda: bool(caplog.records))
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "erlang")
    assert record.getMessage() == f"{beam.name} {pid}: from beam"
    caplog.clear()
    node.spawn_on(beam.name, "erlang", "error", [A.oops])
    wait_for(lambda: any("oops" in record.getMessage() for record in caplog.records))


@pytest.mark.beam(elixir=True)
def test_a_subscription_brings_every_event_of_a_peer(beam: Beam, node: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "erlang")
    node.subscribe_logs(beam.name, level="warning")
    beam.eval('logger:error("disk ~p", [full]), logger:notice("not this"), logger:warning(#{what => report})')
    beam.elixir('require Logger; Logger.error("of Elixir é")')
    wait_for(lambda: len(caplog.records) == 3)
    texts = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert texts == ["disk full", "#{what => report}", "of Elixir é"]
    assert node.unsubscribe_logs(beam.name) is True
    assert node.unsubscribe_logs(beam.name) is False
    beam.eval('logger:error("after")')
    filters = node.rpc(beam.name, "logger", "get_primary_config")[A.filters]
    assert [one for one in filters if one[0] is not A.process_level] == []  # that one is Elixir's own


class Wordless(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError("on purpose")

    __repr__ = __str__


class Crashing(GenServer):
    """Ends as it is told, by a reason that is hard to tell."""

    def handle_cast(self, request: Any) -> Any:
        match request:
            case (A.stop, name):
                return Stop(REASONS[name])
            case (A.exit, name):
                raise Exit(REASONS[name])
            case (A.raise_, name):
                raise ERRORS[name]


REASONS: dict[Atom, Any] = {
    A.deep: hostile.deep("list"),
    A.deep_key: hostile.deep_key(),
    A.digits: 10**5000,
    A.formless: {A.here: object()},
    A.wide: list(range(1_000_000)),
}
ERRORS: dict[Atom, BaseException] = {
    A.wordless: Wordless(),
    A.deep: ValueError(hostile.deep("tuple")),
    A.digits: ValueError(10**5000),
    A.surrogate: ValueError("\ud800"),
    A.panic: BaseException("panic"),
}
ENDS = [(how, name) for how in (A.stop, A.exit) for name in REASONS] + [(A.raise_, name) for name in ERRORS]
DEEP = "lists:foldl(fun(_, T) -> {T} end, x, lists:seq(1, 3000))"
SHOWN = "unicode:characters_to_binary(logger_formatter:format(E, #{single_line => true, template => [msg]}))"


@pytest.fixture
def crashes(node: Any, beam: Beam) -> Iterator[None]:
    """What this library logs goes to the BEAM."""
    logger, handler = logging.getLogger("pyerlnode"), node.log_handler(beam.name, "ERROR")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    handler.close()


def test_every_crash_is_told_to_the_logger_of_the_beam_in_readable_words(
    beam: Beam, node: Any, crashes: None, collector: Any
) -> None:
    for ending in ENDS:
        pid = node.start(Crashing)
        ref = node.monitor(pid)
        node.cast(pid, ending)
        node.receive(lambda m, ref=ref: m[0] is A.DOWN and m[1] == ref)
        wait_for(lambda pid=pid: any(pid == event[0] for event in beam.eval(CRASHES, P=collector)))
        [text] = [text.decode() for of, text, _ in beam.eval(CRASHES, P=collector) if of == pid]
        assert f"Crashing {pid} terminates" in text, ending
        assert len(text) < 64_000, ending


CRASHES = f"""P ! {{get, self()}}, receive {{events, L}} ->
    [{{Pid, {SHOWN}, maps:get(crash_reason, M, none)}} ||
        #{{meta := #{{pid := Pid}} = M}} = E <- L] after 60000 -> none end"""


@pytest.mark.beam(elixir=True)
def test_elixirs_logger_formats_every_crash_of_a_python_exception(
    beam: Beam, node: Any, crashes: None, collector: Any
) -> None:
    for name in ERRORS:
        pid = node.start(Crashing)
        node.cast(pid, (A.raise_, name))
    wait_for(lambda: len(beam.eval(CRASHES, P=collector)) == len(ERRORS))
    for _, _, (reason, stack) in beam.eval(CRASHES, P=collector):
        code = "Exception.format_banner(:exit, reason, stack) <> Exception.format_stacktrace(stack)"
        text = beam.elixir(code, reason=reason, stack=stack).decode()
        assert reason[1].decode() in text
        assert "handle_cast" in text


def test_a_line_whose_arguments_have_no_text_arrives_all_the_same(
    beam: Beam, log: logging.Logger, collector: Any
) -> None:
    [handler] = [one for one in log.handlers if isinstance(one, ErlangHandler)]
    threading.current_thread().name, name = "thread \udcff", threading.current_thread().name
    try:
        for given in ((Wordless(),), (10**5000,), (hostile.deep("list"),), (), ("no", "place")):
            handler.handle(log.makeRecord(log.name, logging.ERROR, "\udcff.py", 1, "lost %s", given, None, "f\udcff"))
    finally:
        threading.current_thread().name = name
    wait_for(lambda: len(beam.eval(EVENTS, P=collector)) == 5)
    texts = [text.decode() for _, (_, text), _ in beam.eval(EVENTS, P=collector)]
    assert all(text.startswith("'lost %s' of (") for text in texts if text != "lost %s"), texts
    assert "Wordless" in texts[0]
    assert "16610 bits" in texts[1]
    assert "[[[[" in texts[2]
    assert (texts[3], "('no', 'place')" in texts[4]) == ("lost %s", True)


@pytest.mark.parametrize("reason", [DEEP, "1 bsl 20000", f"#{{{DEEP} => 1}}"])
def test_a_crash_of_a_beam_by_any_reason_is_told_to_python(
    beam: Beam, node: Any, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    caplog.set_level(logging.INFO, "erlang")
    node.subscribe_logs(beam.name, level="error")
    pid = beam.eval(f"proc_lib:spawn(fun() -> exit({{told, {reason}}}) end)")
    wait_for(lambda: any("told" in record.getMessage() for record in caplog.records))
    assert any(str(pid) in record.getMessage() for record in caplog.records)
    assert not any("can not be shown" in record.getMessage() for record in caplog.records)
    node.unsubscribe_logs(beam.name)
