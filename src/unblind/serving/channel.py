"""A WebSocket as a channel of messages of bytes, with a limit of size and of time for each.

Either side may be anybody: whatever it does or leaves undone ends in `ChannelError`, within the
time that was given, and with no more memory than the limit. wsproto knows the protocol (RFC 6455);
what is here are sockets and clocks. Nothing is encrypted.
"""

import contextlib
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Self

from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_CHUNK = 1 << 16
#: Within which an answer to a ping must be taken.
_PONG_S = 10.0


class ChannelError(Exception):
    """The other side has ended the talk, or breaks its rules; the text follows its name."""


class Channel:
    """One connection.

    Args:
        link: the connected socket, which the channel closes.
        role: which side this is.
        limit: bytes of a message that the other side may send, what belongs to it included.
    """

    def __init__(self, link: socket.socket, role: ConnectionType, limit: int) -> None:
        self._link, self._limit = link, limit
        self._protocol = WSConnection(role)
        self._events: deque[ws.Event] = deque()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, host: str, port: int, seconds: float, limit: int) -> Self:
        """Return a channel to a server.

        Args:
            host: name or address.
            port: of the server.
            seconds: within which the connection must stand.
            limit: see `Channel`.

        Raises:
            ChannelError: nobody answers there, or not with WebSocket.
        """
        end = time.monotonic() + seconds
        try:
            link = socket.create_connection((host, port), seconds)
        except OSError as error:
            raise ChannelError(f"cannot be reached: {error.strerror or error}") from None
        channel = cls(link, ConnectionType.CLIENT, limit)
        with channel._closed_on_error():
            channel._write(ws.Request(host=f"{host}:{port}", target="/"), end)
            event = channel._next(end, seconds)
            if not isinstance(event, ws.AcceptConnection):
                raise ChannelError("refused the connection")
        return channel

    @classmethod
    def accept(cls, link: socket.socket, seconds: float, limit: int) -> Self:
        """Return the channel of a client that has connected.

        Browsers, which say from which page they come, are refused: any page can reach a server of
        this machine.

        Raises:
            ChannelError: it is a browser, or does not speak WebSocket.
        """
        end = time.monotonic() + seconds
        channel = cls(link, ConnectionType.SERVER, limit)
        with channel._closed_on_error():
            event = channel._next(end, seconds)
            if not isinstance(event, ws.Request):
                raise ChannelError("does not ask for a connection")
            if any(name.lower() == b"origin" for name, _ in event.extra_headers):
                channel._write(ws.RejectConnection(status_code=403), end)
                raise ChannelError("is a browser")
            channel._write(ws.AcceptConnection(), end)
        return channel

    def send(self, data: bytes, seconds: float) -> None:
        """Send a message.

        Raises:
            ChannelError: the other side has gone, or does not take it in time.
        """
        self._write(ws.BytesMessage(data=data), time.monotonic() + seconds)

    def receive(self, seconds: float | None) -> bytes:
        """Return the next message.

        Args:
            seconds: within which it must be here whole; None: however long it takes.

        Raises:
            ChannelError: it is not, is too long, or is none of bytes; or the other side has gone.
        """
        end = None if seconds is None else time.monotonic() + seconds
        parts: list[bytes] = []
        room = self._limit
        while True:
            event = self._next(end, seconds)
            if isinstance(event, ws.BytesMessage):
                parts.append(bytes(event.data))
                room -= len(event.data)
                if event.message_finished and room >= 0:
                    return b"".join(parts)
            elif isinstance(event, ws.Ping):
                room -= len(event.payload) + 1
                self._write(event.response(), end or time.monotonic() + _PONG_S)
            elif isinstance(event, ws.CloseConnection):
                # The library ends a connection by these where the other side breaks the protocol.
                broken = event.code in (
                    CloseReason.PROTOCOL_ERROR,
                    CloseReason.INVALID_FRAME_PAYLOAD_DATA,
                )
                raise ChannelError(
                    "does not speak WebSocket" if broken else "closed the connection"
                )
            elif not isinstance(event, ws.Pong):
                raise ChannelError("sent something else than a message of bytes")
            if room < 0:
                raise ChannelError(f"sent a message of more than {self._limit:,} bytes")

    def close(self) -> None:
        """Say good-bye, if the other side listens, and close the socket."""
        with contextlib.suppress(ChannelError, LocalProtocolError):
            self._write(ws.CloseConnection(code=1000), time.monotonic() + 1)
        self._link.close()

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._link.close()
            raise

    def _write(self, event: ws.Event, end: float | None) -> None:
        try:
            self._wait_until(end)
            self._link.sendall(self._protocol.send(event))
        except TimeoutError:
            raise ChannelError("does not take what it is sent") from None
        except (OSError, LocalProtocolError):
            raise ChannelError("closed the connection") from None

    def _next(self, end: float | None, seconds: float | None) -> ws.Event:
        """Return the next event of the protocol."""
        while not self._events:
            try:
                self._wait_until(end)
                data = self._link.recv(_CHUNK)
                self._protocol.receive_data(data or None)
                self._events.extend(self._protocol.events())
            except TimeoutError:
                raise ChannelError(f"did not answer within {seconds:.3g} s") from None
            except OSError:
                raise ChannelError("closed the connection") from None
            except (RemoteProtocolError, LocalProtocolError) as error:
                raise ChannelError(f"does not speak WebSocket: {error}") from None
            if not data and not self._events:
                raise ChannelError("closed the connection")
        return self._events.popleft()

    def _wait_until(self, end: float | None) -> None:
        """Let the socket wait until ``end`` and no longer.

        Raises:
            TimeoutError: it is over.
        """
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._link.settimeout(left)
