"""Policy servers in this process: ours, and one that misbehaves as it is told."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from wsproto import ConnectionType

from unblind.serving.address import Address
from unblind.serving.channel import Channel, ChannelError
from unblind.serving.conventions import Conventions
from unblind.serving.messages import Message, decode, encode
from unblind.serving.server import PolicyServer

ANYWHERE = Address(port=0)
#: A policy that looks at nothing.
BLIND = replace(Conventions(), picture_format=None, instruction=None)


@contextlib.contextmanager
def served(policy, identity="ours 1", conventions=BLIND) -> Iterator[Address]:
    """Serve a policy in a thread."""
    with PolicyServer(policy, identity, conventions, ANYWHERE) as server:
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server.address
        finally:
            server.stop()
            thread.join(10)


def introduction(**changes) -> dict:
    """Return the payload of a server's `hello`."""
    facts = {"protocol_version": 1, "identity": "strange 0", "conventions": BLIND.to_wire()}
    return {key: value for key, value in (facts | changes).items() if value is not None}


@contextlib.contextmanager
def strange(
    act: Callable[[Channel, Message], None], hello: dict | None = None, good: int = 0
) -> Iterator[Address]:
    """Serve with good manners but for ``act``, which answers observations.

    Args:
        act: is called with the channel and each observation.
        hello: payload of the introduction.
        good: so many observations are answered well before.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    seen = [0]

    def talk(link: socket.socket) -> None:
        with contextlib.suppress(ChannelError, OSError):
            channel = Channel.accept(link, 10, 1 << 26)
            while True:
                message = decode(channel.receive(60))
                if message.kind == "hello":
                    channel.send(encode(Message("hello", hello or introduction(), message.seq)), 5)
                elif message.kind == "observation":
                    seen[0] += 1
                    answer = hold if seen[0] <= good else act
                    answer(channel, message)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                threading.Thread(target=talk, args=(link,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield Address(port=listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def hold(channel: Channel, message: Message) -> None:
    """Answer with standing still."""
    answer(channel, message, b"\0\0\0\0" * 6 + b"\0\0\x80\x3f")


def answer(channel, message, data, dtype="<f4", shape=(7,), **changes) -> None:
    """Answer with an array of any bytes."""
    actions = {"__ndarray__": True, "data": data, "dtype": dtype, "shape": list(shape)} | changes
    channel.send(encode(Message("action", {"actions": actions}, message.seq)), 5)


@contextlib.contextmanager
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """Yield a client's channel whose hands are shaken, and the bare socket at the other end."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def accept() -> None:
        link, _ = listener.accept()
        accepted.append((link, Channel.accept(link, 10, 1 << 20)))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    client = Channel.connect("127.0.0.1", listener.getsockname()[1], 10, 1 << 20)
    thread.join(10)
    link, _ = accepted[0]
    try:
        yield client, link
    finally:
        client.close()
        link.close()
        listener.close()


CLIENT = ConnectionType.CLIENT
