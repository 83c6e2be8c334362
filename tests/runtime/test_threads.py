"""Law: what another thread asks of a node either works or is refused at once, and nothing of it is ever lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

import pyerlnode
from pyerlnode import A, CallTimeout, EncodeError, Exit, GenServer, Node, NoReply, Reply, UsageError, WrongThread
from pyerlnode.runtime import threads
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import settle, wait_for


class Server(GenServer):
    """Answers from a thread of its own, as a framework with a pool of threads lets one do."""

    def init(self, job: Callable[[Any, Any, Any], Any] | None = None):
        self.job = job
        self.got: list[Any] = []
        self.errors: list[BaseException] = []

    def handle_call(self, request, from_):
        if request is A.got:
            return Reply(self.got)
        threading.Thread(target=self.work, args=(request, from_), daemon=True).start()
        return NoReply()

    def work(self, request, from_):
        try:
            assert self.job is not None
            self.job(self, request, from_)
        except BaseException as error:
            self.errors.append(error)

    def handle_cast(self, request):
        self.got.append(request)

    handle_info = handle_cast


@pytest.fixture
def node() -> Iterator[Node]:
    with Node("threads@127.0.0.1", cookie="c", epmd="none", addresses={}) as node:
        yield node


def beside(job: Callable[[], Any]) -> Any:
    """What `job` gives in another thread; this one's hub runs meanwhile."""
    pool = ThreadPool(1)
    try:
        return pool.apply(job)
    finally:
        pool.kill()


def test_an_answer_from_a_thread_arrives(node):
    pid = node.start(Server, lambda server, request, from_: server.reply(from_, request + 1))
    calls = [gevent.spawn(node.call, pid, n, patience()) for n in range(50)]
    assert [call.get() for call in calls] == list(range(1, 51))


def test_the_node_answers_from_any_thread_too(node):
    pid = node.start(Server, lambda _, request, from_: node.reply(from_, request))
    assert node.call(pid, 7, patience()) == 7


def test_what_threads_send_and_cast_arrives_in_their_order(node):
    pid = node.start(Server)

    def talk(who: int) -> None:
        for n in range(20):
            (node.send if n % 2 else node.cast)(pid, (who, n))

    pool = ThreadPool(4)
    pool.map(talk, range(4))
    pool.kill()
    got = node.call(pid, A.got)
    assert len(got) == 80
    for who in range(4):
        assert [n for sender, n in got if sender == who] == list(range(20))


def test_a_term_without_a_form_on_the_wire_is_told_to_the_thread(node):
    with Node("other@127.0.0.1", cookie="c", epmd="none") as other:
        node._addresses[other.name] = ("127.0.0.1", other.port)
        node.connect(other.name)
        with pytest.raises(EncodeError):
            beside(lambda: node.send(("x", other.name), object()))


REFUSED = {
    "call": lambda node, pid: node.call(pid, 1),
    "call of a peer": lambda node, pid: node.call(("x", "peer@127.0.0.1"), 1),
    "start": lambda node, pid: node.start(Server),
    "spawn": lambda node, pid: node.spawn(lambda: None),
    "monitor": lambda node, pid: node.monitor(pid),
    "link": lambda node, pid: node.link(pid),
    "receive": lambda node, pid: node.receive(timeout=0),
    "self": lambda node, pid: node.self_(),
    "exit": lambda node, pid: node.exit(pid, A.kill),
    "register": lambda node, pid: node.register("x", pid),
    "rpc": lambda node, pid: node.rpc("peer@127.0.0.1", "m", "f"),
    "erpc": lambda node, pid: node.erpc.cast("peer@127.0.0.1", "m", "f"),
    "connect": lambda node, pid: node.connect("peer@127.0.0.1"),
    "disconnect": lambda node, pid: node.disconnect("peer@127.0.0.1"),
    "monitor_nodes": lambda node, pid: node.monitor_nodes(),
    "pg": lambda node, pid: node.pg.join("group", pid),
    "send_after": lambda node, pid: node.send_after(0.1, pid, 1),
    "stop_process": lambda node, pid: node.stop_process(pid),
    "multi_call": lambda node, pid: node.multi_call([node.name], "x", 1),
    "offload": lambda node, pid: node.offload(len, ()),
}


@pytest.mark.parametrize("job", REFUSED.values(), ids=REFUSED.keys())
def test_all_else_is_refused_at_once_and_names_the_way_in(node, job):
    pid = node.start(Server)
    before = node.processes()
    with pytest.raises(WrongThread, match=r"threads@127.0.0.1 belongs to another thread.*node\.run\(function\)"):
        beside(lambda: job(node, pid))
    assert node.processes() == before


def test_what_a_process_says_of_itself_is_refused_in_a_thread(node):
    pid = node.start(Server)
    for job in (pyerlnode.self_, lambda: pyerlnode.send(pid, 1), lambda: pyerlnode.spawn(print), pyerlnode.receive):
        with pytest.raises(UsageError, match="this greenlet is no process"):
            beside(job)


def test_a_system_that_a_thread_has_kept_refuses_too(node):
    from pyerlnode.otp import gen

    system, pid = node.system, node.start(Server)
    with pytest.raises(WrongThread):
        beside(lambda: gen.call(system, pid, A.got))
    with pytest.raises(WrongThread):
        beside(lambda: system.spawn(print))


def test_run_is_the_way_in(node):
    pid = node.start(Server)
    node.cast(pid, 1)
    assert beside(lambda: node.run(node.call, pid, A.got)) == [1]
    assert beside(lambda: node.run(lambda: gevent.sleep(0.001) or threading.get_ident())) == threading.get_ident()
    assert node.run(threading.get_ident) == threading.get_ident()


def test_run_raises_what_the_function_raises(node):
    with pytest.raises(Exit, match="there is no process"):
        beside(lambda: node.run(node.call, "nobody", 1))
    pid = node.start(Server, lambda *_: None)
    with pytest.raises(CallTimeout):
        beside(lambda: node.run(node.call, pid, 1, 0.01))


def test_a_thread_that_waits_is_told_of_the_end_of_the_node(node):
    pool = ThreadPool(1)
    waiting = pool.spawn(lambda: node.run(gevent.sleep, 1000))
    system = node.system
    wait_for(lambda: any(job.greenlet is not None for job in system.jobs))
    node.stop()
    with pytest.raises(UsageError, match="was stopped"):
        waiting.get(timeout=patience())
    pool.kill()


def test_a_thread_may_stop_the_node(node):
    assert beside(node.stop).stuck == []
    with pytest.raises(UsageError, match="not open"):
        beside(lambda: node.send("x", 1))


def test_a_node_whose_thread_waits_for_this_one_is_a_clear_error_and_nothing_comes_late(node, monkeypatch):
    """The natural mistake: the main thread, whose hub the node runs in, joins the thread that asks the node."""
    monkeypatch.setattr(threads, "PATIENCE", 0.05)
    pid = node.start(Server)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.send, pid, A.late)
        with pytest.raises(WrongThread, match="has let nothing run"):
            asked.result(patience())
    settle(node.system)
    assert node.call(pid, A.got) == []


def test_an_interrupt_of_the_thread_ends_what_it_waits_for():
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as cluster:
        node, ended = cluster.node, threading.Event()

        def wait() -> None:
            try:
                signal.pthread_kill(main, signal.SIGUSR1)
                gevent.sleep(1000)
            finally:
                ended.set()

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        main, before = threading.get_ident(), signal.signal(signal.SIGUSR1, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                node.run(wait)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert ended.wait(patience())


def test_the_node_of_a_hub_in_a_thread_is_used_from_others_by_the_same_words():
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as cluster:
        node = cluster.node
        pid = cluster.start(Server, lambda server, request, from_: server.reply(from_, request))
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda n: cluster.call(pid, n, patience()), range(50))) == list(range(50))
            list(pool.map(lambda n: node.send(pid, n), range(50)))
        assert sorted(node.run(node.call, pid, A.got)) == list(range(50))
        with pytest.raises(WrongThread):
            node.call(pid, 1)


def test_a_process_of_another_node_in_another_thread_is_a_foreigner(node):
    pid = node.start(Server)
    with pyerlnode.connect(cookie="c", epmd="none", addresses={}) as cluster:
        outcome: list[Any] = []

        def body() -> None:
            try:
                node.call(pid, 1)
            except WrongThread:
                outcome.append("refused")

        cluster.spawn(body)
        wait_for(lambda: outcome)
        assert outcome == ["refused"]
