"""A session of TLS 1.2 that a BEAM negotiates anew, and the certificate that it shows then."""

from typing import Any

import pytest
from certificates import Authority
from gevent import socket

from pyerlnode import A
from pyerlnode.net.tls import TlsStream
from pyerlnode.net.tls_options import Tls
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.patience import patience
from pyerlnode.testing.waiting import wait_for

HOST = "one.example.com"
SERVER = """
    {ok, _} = application:ensure_all_started(ssl),
    Files = fun(File) -> [{certfile, File}, {keyfile, File}, {cacertfile, Ca}] end,
    Shown = counters:new(1, []),
    Choose = fun(_) ->
        counters:add(Shown, 1, 1),
        Files(case counters:get(Shown, 1) of 1 -> First; _ -> Second end)
    end,
    Me = self(),
    spawn(fun() ->
        {ok, Listen} = ssl:listen(0, [{ip, {127, 0, 0, 1}}, {active, false}, {mode, binary}, {versions, ['tlsv1.2']},
                                      {reuse_sessions, false}, {sni_fun, Choose} | Files(First)]),
        {ok, {_, Port}} = ssl:sockname(Listen),
        Me ! {port, Port},
        {ok, Accepted} = ssl:transport_accept(Listen),
        {ok, Socket} = ssl:handshake(Accepted),
        ok = ssl:send(Socket, <<"before">>),
        {ok, <<"go on">>} = ssl:recv(Socket, 5),
        Anew = ssl:renegotiate(Socket),
        persistent_term:put(anew, {Anew, counters:get(Shown, 1)}),
        ssl:send(Socket, <<"after">>),
        ssl:recv(Socket, 1)
    end),
    receive {port, P} -> P end.
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("renewed", None),
        ("elsewhere", "its certificate is not for the host one.example.com"),
        ("below", "the option depth allows 0"),
    ],
)
def test_the_certificate_that_is_shown_then_has_to_pass_as_the_first_one(
    beam: Beam, authority: Authority, second: str, words: str | None
) -> None:
    if second == "below":
        file = authority.under(second)
    else:
        file = authority.issue(second, ["DNS:elsewhere.example.com"] if second == "elsewhere" else [f"DNS:{HOST}"])
    files = {"First": authority.issue("first", [f"DNS:{HOST}"]), "Second": file, "Ca": authority.ca}
    port = beam.eval(SERVER, **{name: str(file).encode() for name, file in files.items()})
    side = Tls.of(authority.options(versions=["tlsv1.2"], depth=0, check_host=second != "below")).client
    stream = TlsStream(socket.create_connection(("127.0.0.1", port)), side, who="the BEAM", host=HOST)
    stream.handshake(patience())
    transport = stream.transport()
    got: list[Any] = []

    def readable() -> None:
        try:
            got.append(transport.receive())
        except OSError as error:
            got.append(error)
            transport.want_read(False)

    transport.start(readable, lambda: None)
    try:
        wait_for(lambda: b"before" in got)
        transport.send([b"go on"])
        wait_for(lambda: b"after" in got or isinstance(got[-1], OSError))
        wait_for(lambda: beam.eval("persistent_term:get(anew, none).") == (A.ok, 2))  # it has shown both
        assert (words is None) == (b"after" in got)
        if words is not None:
            assert words in str(got[-1])
            with pytest.raises(ConnectionAbortedError):
                transport.receive()  # nor does anything come later
    finally:
        transport.close()
        beam.eval("persistent_term:erase(anew).")
