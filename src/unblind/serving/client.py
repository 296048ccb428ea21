"""A policy that acts behind a socket, as scenes ask it (`unblind.rollout.policies.Policy`).

A server is not trusted. Whatever it does wrong stops the evaluation with the reason, and says
nothing about the policy: no episode is counted by it.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from unblind.errors import UnblindError
from unblind.rollout.policies import Observation
from unblind.serving import messages
from unblind.serving.address import ACTION_S, Address
from unblind.serving.channel import Channel, ChannelError
from unblind.serving.conventions import Conventions, contradictions, differences
from unblind.serving.messages import Kind, Message, shown
from unblind.serving.msgpack import Malformed
from unblind.sim.episodes import Episode
from unblind.study.provenance import version_of

#: Bytes of a message that a server may send: actions have a few dozen.
LIMIT = 1 << 20
#: Seconds within which a server must have introduced itself.
HELLO_S = 30.0
_CONTINUE = "mend the server and run the same command again: it continues, and no failure counts"


class _Session:
    """One connection to a server, which acts in one episode at a time."""

    def __init__(self, address: Address, mine: Conventions) -> None:
        self._address, self._seq, self.identity = address, 0, ""
        with self._named():
            self._channel = Channel.connect(address.host, address.port, HELLO_S, LIMIT)
        try:
            self.send("hello", _hello(mine))
            with self._named():
                self._introduce(self._hear("hello", HELLO_S))
        except BaseException:
            self.close()
            raise

    def _introduce(self, payload: dict[str, Any]) -> None:
        """Take note of who the server says it is.

        Raises:
            Malformed: it speaks another version, has no name, or says no conventions.
        """
        if payload.get("protocol_version") != messages.VERSION:
            version = shown(payload.get("protocol_version"))
            raise Malformed(f"it speaks version {version} of the protocol, not {messages.VERSION}")
        # A server that is written with vla-eval can add something of its own only there.
        told = payload.get("observation_params")
        told = payload if "conventions" in payload or not isinstance(told, dict) else told
        name = told.get("identity")
        if not isinstance(name, str) or not name.strip():
            raise Malformed("it does not say who it is (identity)")
        self.identity = shown(name.strip())
        self.conventions = Conventions.from_wire(told.get("conventions"))
        for contradiction in contradictions(self.conventions, payload):
            raise Malformed(f"it contradicts itself: {contradiction}")

    def send(self, kind: Kind, payload: dict[str, Any]) -> None:
        """Send a message."""
        self._seq += 1
        with self._named():
            self._channel.send(messages.encode(Message(kind, payload, self._seq)), ACTION_S)

    def action(self, seconds: float) -> np.ndarray:
        """Wait for the (7,) action that answers the last message."""
        with self._named():
            action = messages.read_action(self._hear("action", seconds))
            least, most = np.array(self.conventions.limits(), np.float32).T
            for place in np.flatnonzero((action < least) | (action > most))[:1]:
                raise Malformed(
                    f"number {place + 1} of its action is {action[place]:g}, and it declares "
                    f"{least[place]:g} to {most[place]:g}"
                )
        return action

    def close(self) -> None:
        """End the talk."""
        self._channel.close()

    def _hear(self, kind: Kind, seconds: float) -> dict[str, Any]:
        message = messages.decode(self._channel.receive(seconds))
        if message.kind == "error":
            raise Malformed(f"it says: {shown(message.payload.get('error'))}")
        if (message.kind, message.seq) != (kind, self._seq):
            raise Malformed(
                f"it answers {message.kind} {message.seq} instead of {kind} {self._seq}"
            )
        return message.payload

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what the server does wrong into one error that names it."""
        server = f"the policy server {self._address}"
        server += f" ({self.identity})" if self.identity else ""
        try:
            yield
        except ChannelError as error:
            raise UnblindError(f"{server} {error}", _CONTINUE) from None
        except Malformed as error:
            raise UnblindError(f"{server} cannot be used: {error}", _CONTINUE) from None


class RemotePolicy:
    """The policy of a server: one connection for each episode that is under way.

    Args:
        address: of the server.
        mine: the conventions of the benchmark.
        steps: control steps of an episode.
        action_s: seconds within which all scenes that ask at once must have their actions.

    Raises:
        UnblindError: nobody answers, the server breaks the protocol, or its conventions are others;
            the message names both sides.

    Attributes:
        needs_images: whether the server wants pictures.
        identity: who it says it is.
        conventions: what it declares.
    """

    def __init__(
        self, address: Address, mine: Conventions, steps: int, action_s: float = ACTION_S
    ) -> None:
        self._address, self._mine, self._steps, self._action_s = address, mine, steps, action_s
        self._idle: list[_Session] = []
        self._acting: dict[Episode, _Session] = {}
        first = self._open()
        self.identity, self.conventions = first.identity, first.conventions
        self.needs_images = self.conventions.picture_format is not None
        self._idle.append(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        for session in (*self._idle, *self._acting.values()):
            session.close()

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) float32 actions.

        All scenes are sent before the first answer is awaited, so that a server can make a batch of
        them.

        Raises:
            UnblindError: the server breaks the protocol or its word, or has gone.
        """
        sessions = [self._session(seen) for seen in observations]
        for session, seen in zip(sessions, observations, strict=True):
            session.send("observation", self._told(seen))
        end = time.monotonic() + self._action_s
        actions = []
        for session, seen in zip(sessions, observations, strict=True):
            actions.append(session.action(max(end - time.monotonic(), 0.001)))
            if seen.step + 1 == self._steps:
                # Whether it went well is none of the policy's business.
                session.send("episode_end", {"steps": self._steps})
                self._idle.append(self._acting.pop(seen.episode))
        return np.stack(actions)

    def _session(self, seen: Observation) -> _Session:
        """Return the connection of an episode, which begins with its first step."""
        if seen.episode not in self._acting:
            session = self._idle.pop() if self._idle else self._open()
            self._acting[seen.episode] = session
            task = {"name": seen.episode.instruction, "episode_id": seen.episode.episode_id}
            session.send("episode_start", {"task": task})
        return self._acting[seen.episode]

    def _told(self, seen: Observation) -> dict[str, Any]:
        told: dict[str, Any] = {"task_description": seen.episode.instruction}
        if self.needs_images and seen.image is not None:
            told["images"] = {self._mine.camera: messages.array(seen.image)}
        return told

    def _open(self) -> _Session:
        session = _Session(self._address, self._mine)
        try:
            self._check(session)
        except BaseException:
            session.close()
            raise
        return session

    def _check(self, session: _Session) -> None:
        server = f"{self._address} ({session.identity})"
        if differing := list(differences(self._mine, session.conventions)):
            raise UnblindError(
                f"the conventions of this benchmark and of the policy server {server} differ in "
                f"{'; '.join(differing)}",
                "convert in the server, then declare what it sends",
            )
        known = getattr(self, "identity", session.identity)
        if session.identity != known or (
            session.conventions != getattr(self, "conventions", session.conventions)
        ):
            cause = f"another policy server answers at {self._address}: {session.identity}"
            raise UnblindError(cause, f"start {known} again")


def _hello(mine: Conventions) -> dict[str, Any]:
    """Return how the benchmark introduces itself."""
    return {
        "harness_version": f"unblind {version_of('unblind')}",
        "protocol_version": messages.VERSION,
        "benchmark": "unblind",
        "conventions": mine.to_wire(),
    }
