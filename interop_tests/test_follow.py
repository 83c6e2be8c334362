"""A hidden Python node that follows a cluster of BEAMs, and what their libraries ask every node."""

from collections.abc import Callable
from typing import Any

from pyerlnode import A
from pyerlnode.net.discovery import EpmdHosts
from pyerlnode.net.gossip_cipher import Secret
from pyerlnode.net.gossip_core import HEAD, heartbeat, node_of
from pyerlnode.testing.beam import Beam
from pyerlnode.testing.waiting import wait_for


def test_a_hidden_node_is_connected_to_each_visible_one(beam_factory: Callable[..., Beam], python: Any) -> None:
    seed = beam_factory()
    node = python(cookie=seed.cookie, epmd_port=seed.epmd_port)
    following = node.follow(seed.name, every=0.05)
    wait_for(lambda: seed.name in node.nodes())
    other = beam_factory(cookie=seed.cookie)
    assert other.name not in node.nodes()
    other.rpc("net_kernel", "connect_node", A[seed.name])
    wait_for(lambda: other.name in node.nodes())
    assert following.nodes() == sorted([seed.name, other.name])
    node.disconnect(seed.name)  # lost, and back
    wait_for(lambda: sorted(node.nodes()) == following.nodes())
    following.stop()
    assert sorted(node.nodes()) == sorted([seed.name, other.name])


def test_the_nodes_of_a_host_are_found_at_its_epmd(beam_factory: Callable[..., Beam], python: Any) -> None:
    beam = beam_factory()
    node = python(cookie=beam.cookie, epmd_port=beam.epmd_port)
    name, host = beam.name.split("@")
    following = node.follow(EpmdHosts(host, name=name, port=beam.epmd_port))
    wait_for(lambda: node.nodes() == [beam.name])
    following.stop()


def test_a_beam_is_answered_what_it_asks_every_node(beam: Beam, node: Any) -> None:
    node.connect(beam.name)
    pid = node.spawn(lambda: node.receive())

    def ask(module: str, function: str, *args: Any) -> Any:
        return beam.rpc("rpc", "call", A[node.name], A[module], A[function], list(args))

    assert ask("erlang", "node") is ask("Elixir.Node", "self") is A[node.name]
    assert ask("erlang", "nodes") == ask("Elixir.Node", "list") == [A[beam.name]]
    assert dict(ask("erlang", "memory"))[A.total] > 1_000_000
    assert ask("erlang", "memory", A.total) > 1_000_000
    assert len(ask("erlang", "statistics", A.wall_clock)) == 2
    assert ask("erlang", "monotonic_time") < ask("erlang", "monotonic_time")
    assert A.net_kernel in ask("erlang", "registered")
    assert ask("Elixir.Process", "alive?", pid) is True
    assert dict(ask("Elixir.Process", "info", pid))[A.message_queue_len] == 0
    [(name, _, _)] = ask("application", "which_applications")
    assert name is A.pyerlnode
    node.exit(pid, A.kill)
    assert ask("Elixir.Process", "alive?", pid) is False
    assert ask("Elixir.Process", "info", pid) is None


GOSSIP = """
    Key = crypto:hash(sha256, Secret),
    Pad = fun(B) -> N = 16 - (byte_size(B) rem 16), <<B/binary, (binary:copy(<<N>>, N))/binary>> end,
    Text = Pad(<<"heartbeat::", (term_to_binary(#{node => node()}))/binary>>),
    <<TheirIv:16/binary, Cipher/binary>> = Packet,
    Plain = crypto:crypto_one_time(aes_256_cbc, Key, TheirIv, Cipher, false),
    <<"heartbeat::", Term/binary>> = binary:part(Plain, 0, byte_size(Plain) - binary:last(Plain)),
    Iv = crypto:strong_rand_bytes(16),
    {binary_to_term(Term), <<Iv/binary, (crypto:crypto_one_time(aes_256_cbc, Key, Iv, Text, true))/binary>>}"""
"""What libcluster's Gossip does with a packet, and how it makes one."""


def test_heartbeats_of_elixirs_gossip_are_ours(beam: Beam) -> None:
    secret = Secret("s3cret")
    packet = secret.encrypted(heartbeat("py@127.0.0.1"))
    read, made = beam.eval(GOSSIP, Secret=b"s3cret", Packet=packet)
    assert read == {A.node: A["py@127.0.0.1"]}
    assert node_of(secret.decrypted(made) or b"") == beam.name
    plain = beam.eval("term_to_binary(#{node => node()})")
    assert node_of(HEAD + plain) == beam.name
    assert beam.eval("binary_to_term(T)", T=heartbeat("py@x").removeprefix(HEAD)) == {A.node: A["py@x"]}
