"""A policy behind a socket: the same actions, and everything that a server may do wrong."""

import re
import struct
import threading
import time
from dataclasses import replace

import behind_a_socket as sockets
import commands
import numpy as np
import pytest

from unblind.config import load
from unblind.errors import Note, UnblindError
from unblind.rollout.policies import NoopPolicy, Observation, RandomPolicy
from unblind.serving.address import Address
from unblind.serving.channel import Channel, ChannelError
from unblind.serving.client import LIMIT, RemotePolicy
from unblind.serving.conventions import Conventions, of_benchmark
from unblind.serving.messages import Message, array, decode, encode, read_picture, shown
from unblind.serving.msgpack import Malformed
from unblind.serving.server import PolicyServer
from unblind.sim import episodes

BENCHMARK = of_benchmark(load(commands.SMOKE))
EPISODES = [episodes.decode("in_distribution", number) for number in range(3)]
SEVEN = struct.pack("<7f", *[0.0] * 6, 1.0)


def remote(address, steps=3, seconds=20.0):
    return RemotePolicy(address, BENCHMARK, steps, seconds)


def observations(step, image=None):
    return [Observation(episode, step, image) for episode in EPISODES]


def problem(address, step=0, seconds=20.0):
    """Return the one line with which asking a server ends."""
    with pytest.raises(UnblindError) as caught, remote(address, seconds=seconds) as policy:
        policy.act(observations(step)[:1])
    line = str(caught.value)
    assert "\n" not in line and line.isprintable()
    assert str(address) in line
    return line


# ---- a server that is as it should be ----------------------------------------------------------


def test_actions_are_those_of_the_policy_whatever_the_order_of_scenes():
    own = RandomPolicy(7)
    with sockets.served(RandomPolicy(7)) as address, remote(address) as policy:
        assert not policy.needs_images and policy.identity == "ours 1"
        first, second, third = (observations(step) for step in range(3))
        assert policy.act(first).tobytes() == own.act(first).tobytes()
        for seen in reversed(second):
            assert policy.act([seen]).tobytes() == own.act([seen]).tobytes()
        assert policy.act(third[::-1]).tobytes() == own.act(third[::-1]).tobytes()
        again = observations(0)
        assert policy.act(again).tobytes() == own.act(again).tobytes(), "connections are used again"


def test_a_policy_sees_the_very_picture_and_words():
    class Remembers:
        seen = ()

        def act(self, seen):
            self.seen = (*self.seen, *seen)
            return np.tile([0.01, 0, 0, 0, 0, 0, -1], (len(seen), 1))

    rng, policy = np.random.default_rng(0), Remembers()
    images = rng.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    with sockets.served(policy, conventions=Conventions()) as address, remote(address) as asked:
        assert asked.needs_images
        given = [
            Observation(episode, 0, image) for episode, image in zip(EPISODES, images, strict=True)
        ]
        actions = asked.act(given)
    assert actions.dtype == np.float32 and actions.shape == (3, 7)
    assert actions[0].tolist() == [np.float32(0.01), 0, 0, 0, 0, 0, -1]
    told = {one.episode.episode_id: one for one in policy.seen}
    for one in given:
        assert (told[one.episode.episode_id].image == one.image).all()
        assert told[one.episode.episode_id].episode.instruction == one.episode.instruction


def test_scenes_that_ask_at_once_make_one_batch():
    class Counts(NoopPolicy):
        sizes = ()

        def act(self, seen):
            self.sizes = (*self.sizes, len(seen))
            time.sleep(0.05)
            return super().act(seen)

    policy = Counts()
    with sockets.served(policy) as address, remote(address, steps=80) as asked:
        for step in range(8):
            asked.act(observations(step))
    assert sum(policy.sizes) == 24 and len(policy.sizes) < 16


def test_a_picture_may_come_compressed_from_other_benchmarks():
    import io

    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    told = {"__image__": True, "format": "png", "data": file.getvalue(), "shape": [5, 4, 3]}
    assert (read_picture({"images": {"front": told}}) == image).all()
    assert (read_picture({"images": {"front": array(image)}}) == image).all()
    assert read_picture({}) is None


@pytest.mark.parametrize(
    "picture",
    [
        {"__image__": True, "format": "png", "data": b"none"},
        {"__image__": True, "format": "jpeg"},
        {"__ndarray__": True, "dtype": "|u1", "shape": [2, 2, 3], "data": bytes(11)},
        {"__ndarray__": True, "dtype": "|u1", "shape": [-2, -2, 3], "data": bytes(12)},
        {"__ndarray__": True, "dtype": "|u1", "shape": [2, 2, 4], "data": bytes(16)},
        {"__ndarray__": True, "dtype": "|u1", "shape": [1 << 40, 1 << 40, 3], "data": b""},
        {"__ndarray__": True, "dtype": "<f4", "shape": [1, 1, 3], "data": bytes(12)},
        {"__ndarray__": True, "dtype": "|O", "shape": [1, 1, 3], "data": bytes(24)},
        "none",
    ],
)
def test_other_pictures_are_refused(picture):
    with pytest.raises(Malformed):
        read_picture({"images": {"front": picture}})


# ---- conventions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rotation": "axis_angle"}, "rotation: benchmark euler_XYZ_intrinsic, policy axis_angle"),
        (
            {"gripper": "binary_close_positive", "control_hz": 10.0},
            "gripper: benchmark binary_close_negative, policy binary_close_positive; "
            "control_hz: benchmark 5, policy 10",
        ),
    ],
)
def test_other_conventions_are_refused_before_the_first_step(changes, told):
    asked = []

    class Never:
        def act(self, seen):
            asked.append(seen)

    with sockets.served(Never(), "odd 2", replace(sockets.BLIND, **changes)) as address:
        with pytest.raises(UnblindError, match="benchmark and of the policy server") as caught:
            remote(address)
        assert told in str(caught.value) and "odd 2" in str(caught.value)
        # A client that goes on all the same is not answered.
        channel = Channel.connect(address.host, address.port, 10, LIMIT)
        hello = {"protocol_version": 1, "conventions": BENCHMARK.to_wire()}
        channel.send(encode(Message("hello", hello, 1)), 5)
        assert decode(channel.receive(10)).kind == "hello"
        channel.send(encode(Message("observation", {}, 2)), 5)
        refused = decode(channel.receive(10))
        assert refused.kind == "error" and told in refused.payload["error"]
        channel.close()
    assert asked == []


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (sockets.introduction(conventions=None), "it declares no conventions"),
        (sockets.introduction(identity=None), "does not say who it is"),
        (sockets.introduction(identity=" "), "does not say who it is"),
        (sockets.introduction(protocol_version=2), "version 2 of the protocol, not 1"),
        (sockets.introduction(conventions={"rotation": "quaternion"}), "its conventions lack"),
        (
            sockets.introduction(action_spec={"gripper": {"format": "binary_close_positive"}}),
            "contradicts itself: gripper",
        ),
    ],
)
def test_an_introduction_that_says_too_little_is_refused(hello, why):
    with sockets.strange(sockets.hold, hello) as address:
        assert why in problem(address)


def test_vla_evals_servers_declare_in_their_observation_params():
    told = sockets.introduction()
    params = {name: told.pop(name) for name in ("identity", "conventions")}
    hello = told | {"observation_params": params, "model_server": "Theirs"}
    with sockets.strange(sockets.hold, hello) as address, remote(address) as policy:
        assert policy.identity == "strange 0"
        assert policy.act(observations(0)).tolist() == [[0, 0, 0, 0, 0, 0, 1]] * 3


def test_what_a_server_says_is_shown_as_plain_text():
    assert shown("red \x1b[31m\nalert") == "red  [31m alert"
    assert len(shown("x" * 10_000)) == 200
    with sockets.strange(
        lambda channel, seen: channel.send(
            encode(Message("error", {"error": "no\x1b[2J\nmemory" + "!" * 999}, seen.seq)), 5
        )
    ) as address:
        line = problem(address)
    assert "it says: no [2J memory!!!" in line and len(line) < 500


# ---- misbehaviour ------------------------------------------------------------------------------


def gone(channel, seen):
    channel._link.close()


WRONG = {
    "NaN": (
        lambda channel, seen: sockets.answer(
            channel, seen, struct.pack("<7f", 0, 0, float("nan"), 0, 0, 0, 1)
        ),
        "not finite",
    ),
    "infinity": (
        lambda channel, seen: sockets.answer(
            channel, seen, struct.pack("<7d", 0, 0, float("inf"), 0, 0, 0, 1), "<f8"
        ),
        "not finite",
    ),
    "nine actions": (
        lambda channel, seen: sockets.answer(channel, seen, bytes(36), shape=(9,)),
        r"shape \[9\] instead of \[7\]",
    ),
    "a chunk": (
        lambda channel, seen: sockets.answer(channel, seen, SEVEN * 4, shape=(4, 7)),
        r"shape \[4, 7\] instead of \[7\]",
    ),
    "no array": (
        lambda channel, seen: channel.send(
            encode(Message("action", {"actions": [0.0] * 7}, seen.seq)), 5
        ),
        "no array 'actions'",
    ),
    "nothing in it": (
        lambda channel, seen: channel.send(encode(Message("action", {}, seen.seq)), 5),
        "no array 'actions'",
    ),
    "whole numbers": (
        lambda channel, seen: sockets.answer(channel, seen, bytes(28), "<i4"),
        "type <i4 instead of <f4",
    ),
    "Python objects": (
        lambda channel, seen: sockets.answer(channel, seen, bytes(56), "|O"),
        r"type \|O instead of <f4",
    ),
    "fewer bytes": (
        lambda channel, seen: sockets.answer(channel, seen, bytes(27)),
        "another size than it says",
    ),
    "millimetres": (
        lambda channel, seen: sockets.answer(
            channel, seen, struct.pack("<7f", 0, 20, 0, 0, 0, 0, 1)
        ),
        "number 2 of its action is 20, and it declares -1 to 1",
    ),
    "an older answer": (
        lambda channel, seen: sockets.answer(
            channel, Message("observation", {}, seen.seq - 1), SEVEN
        ),
        "answers action 2 instead of action 3",
    ),
    "another message": (
        lambda channel, seen: channel.send(encode(Message("hello", {}, seen.seq)), 5),
        "answers hello 3 instead of action 3",
    ),
    "no MessagePack": (lambda channel, seen: channel.send(b"\xc1", 5), "none of MessagePack"),
    "an unknown message": (
        lambda channel, seen: channel.send(bytes.fromhex("81 a4 74797065 a1 78"), 5),
        "its type is x",
    ),
    "too much": (
        lambda channel, seen: channel.send(bytes(LIMIT + 1), 5),
        "more than 1,048,576 bytes",
    ),
    "nothing": (lambda channel, seen: None, "did not answer within 1 s"),
    "its end": (gone, "closed the connection"),
    "a polite end": (lambda channel, seen: channel.close(), "closed the connection"),
    "garbage": (
        lambda channel, seen: channel._link.sendall(b"HTTP/1.1 500 no\r\n\r\n"),
        "does not speak WebSocket",
    ),
}


@pytest.mark.parametrize(("act", "why"), WRONG.values(), ids=list(WRONG))
def test_what_a_server_does_wrong_is_told_in_one_line(act, why):
    with sockets.strange(act) as address:
        line = problem(address, seconds=1.0)
    assert re.search(why, line) and "strange 0" in line
    assert "it continues, and no failure counts" in line


def test_a_server_that_trickles_is_not_waited_for():
    def trickle(channel, seen):
        for byte in encode(Message("action", {}, seen.seq)) * 99:
            channel._link.sendall(b"\x89\x01" + bytes([byte]))  # pings of one byte
            time.sleep(0.05)

    began = time.monotonic()
    with sockets.strange(trickle) as address:
        assert "did not answer within 1 s" in problem(address, seconds=1.0)
    assert time.monotonic() - began < 10


def test_a_long_message_is_refused_before_it_is_whole():
    with sockets.pair() as (client, link):
        endless = threading.Thread(target=_flood, args=(link,), daemon=True)
        endless.start()
        with pytest.raises(ChannelError, match="more than"):
            client.receive(20)


def _flood(link):
    # The header of one frame of 2^40 bytes, and then as many as are taken.
    try:
        link.sendall(b"\x82\x7f" + (1 << 40).to_bytes(8))
        for _ in range(64):
            link.sendall(bytes(1 << 16))
    except OSError:
        pass


def test_nobody_there_is_an_error_of_one_line():
    with sockets.served(NoopPolicy()) as address:
        pass
    line = problem(address)
    assert "cannot be reached: Connection refused" in line


def test_another_server_at_the_same_address_is_noticed():
    hello = sockets.introduction()
    with sockets.strange(sockets.hold, hello) as address, remote(address) as policy:
        policy.act(observations(0)[:1])
        hello["identity"] = "strange 1"
        with pytest.raises(UnblindError, match=r"another policy server answers.*strange 1"):
            policy.act(observations(0)[1:2])


# ---- the server, and what a client may do wrong --------------------------------------------------


def test_a_policy_that_fails_tells_its_client_and_lives_on(capfd):
    class Fails(NoopPolicy):
        failed = False

        def act(self, seen):
            if not self.failed:
                self.failed = True
                raise RuntimeError("out of memory")
            return super().act(seen)

    with sockets.served(Fails()) as address:
        assert "it says: RuntimeError: out of memory" in problem(address)
        with remote(address) as policy:
            assert policy.act(observations(0)).shape == (3, 7)
    assert "Traceback" in capfd.readouterr().err, "who serves it sees where"


def test_a_policy_that_gives_too_few_actions_is_no_policy(capfd):
    class Few:
        def act(self, seen):
            return np.zeros((len(seen) + 1, 7))

    with sockets.served(Few()) as address:
        assert "2 actions for 1 observations" in problem(address)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", bytes(1000), encode(Message("observation", {"task_description": 3}, 9))],
    ids=["empty", "reserved", "zeros", "wrong type"],  # a message's bytes hold the time
)
def test_a_client_that_talks_nonsense_is_told_and_harms_nobody(data):
    with sockets.served(NoopPolicy()) as address:
        channel = Channel.connect(address.host, address.port, 10, LIMIT)
        channel.send(data, 5)
        assert decode(channel.receive(10)).kind == "error"
        with remote(address) as policy:
            assert policy.act(observations(0)).shape == (3, 7)
        channel.close()


def test_browsers_are_turned_away():
    import socket

    with sockets.served(NoopPolicy()) as address:
        for origin, status in (("Origin: http://evil.example\r\n", b"403"), ("", b"101")):
            with socket.create_connection((address.host, address.port), 10) as link:
                link.sendall(
                    f"GET / HTTP/1.1\r\nHost: localhost\r\n{origin}Connection: Upgrade\r\n"
                    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
                )
                assert link.recv(1000).split()[1] == status


def test_a_taken_port_is_named():
    with sockets.served(NoopPolicy()) as address:
        with pytest.raises(UnblindError, match=f"cannot listen at {address}: Address already"):
            PolicyServer(NoopPolicy(), "second", address=address)


# ---- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ws://127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("127.0.0.1:9000/", Address("127.0.0.1", 9000)),
        ("gpu-box", Address("gpu-box", 8700)),
        ("ws://[::1]:9000", Address("::1", 9000)),
    ],
)
def test_addresses_are_read(text, address):
    assert Address.read(text) == address == Address.read(str(address))


@pytest.mark.parametrize(
    "text", ["", "wss://host", "http://host:1", "host:port", "host:99999", "a b", "u@h:1", "h/x:1"]
)
def test_other_addresses_are_refused(text):
    with pytest.raises(UnblindError, match="no address of a policy server"):
        Address.read(text)


@pytest.mark.parametrize(("host", "noted"), [("127.0.0.1", 0), ("::1", 0), ("localhost", 0)])
def test_loopback_needs_no_warning(host, noted, recwarn):
    Address(host).warn()
    assert len(recwarn) == noted


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "gpu-box", "::"])
def test_elsewhere_it_is_said_that_nothing_is_encrypted(host):
    with pytest.warns(Note, match="not encrypted"):
        Address(host).warn()
