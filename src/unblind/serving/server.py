"""A server of one policy: any benchmark that speaks the protocol may ask it for actions.

Connections have a thread each, which reads and answers; the policy acts in the thread that serves,
for all that have asked meanwhile. A client is not trusted either: what it sends is limited and
checked, and what it does wrong ends its own connection alone.
"""

import contextlib
import queue
import socket
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from unblind.errors import UnblindError
from unblind.serving import messages
from unblind.serving.address import Address
from unblind.serving.channel import Channel, ChannelError
from unblind.serving.conventions import Conventions, differences
from unblind.serving.messages import Kind, Message
from unblind.serving.msgpack import Malformed
from unblind.study.provenance import version_of

#: Bytes of a message that a client may send, connections at a time, seconds for a greeting and for
#: taking an answer.
LIMIT, CONNECTIONS, GREETING_S, ANSWER_S = 64 << 20, 256, 30.0, 60.0
#: Observations that the policy is asked about at once, and seconds in which others may join one.
BATCH, JOIN_S = 64, 0.01


@dataclass(frozen=True)
class ToldEpisode:
    """What a policy may know of an episode.

    Attributes:
        episode_id: for its random numbers.
        instruction: what to do, in words.
    """

    episode_id: int
    instruction: str


@dataclass(frozen=True)
class Seen:
    """What a policy sees of one step.

    Attributes:
        episode: of which it is a step.
        step: control steps of the episode so far.
        image: (H, W, 3) uint8, None where the policy looks at nothing.
    """

    episode: ToldEpisode
    step: int
    image: np.ndarray | None


class Served(Protocol):
    """What acts: a policy of `unblind.rollout.policies`, or your own."""

    def act(self, observations: Sequence[Any]) -> np.ndarray:
        """Return (N, 7) actions for N of `Seen`."""


@dataclass
class _Question:
    """An observation that waits for its action, or for the reason why there is none."""

    seen: Seen
    done: threading.Event = field(default_factory=threading.Event)
    action: np.ndarray | None = None
    problem: str = "the server is ending"


class PolicyServer:
    """Listens from the start; acts while `serve` runs.

    Args:
        policy: acts.
        identity: who it is: a name, and what tells its weights from others.
        conventions: what it sends, and needs to see; None: the benchmark's own.
        address: where it listens; port 0: any that is free. None: `Address`.

    Raises:
        UnblindError: nobody may listen there.

    Attributes:
        address: where it listens.
    """

    def __init__(
        self,
        policy: Served,
        identity: str,
        conventions: Conventions | None = None,
        address: Address | None = None,
    ) -> None:
        self._policy, self._identity = policy, identity
        self._conventions, address = conventions or Conventions(), address or Address()
        self._questions: queue.Queue[_Question] = queue.Queue()
        self._room = threading.Semaphore(CONNECTIONS)
        self._ending, self._episodes = threading.Event(), 0
        try:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            self._listener = socket.create_server((address.host, address.port), family=family)
        except OSError as error:
            reason = error.strerror or error
            remedy = "choose another --port, or --port 0"
            raise UnblindError(f"cannot listen at {address}: {reason}", remedy) from None
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listener.settimeout(0.2)  # to notice the end
        self.address = Address(address.host, self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; conversations end as their clients go."""
        self.stop()
        if self._listening.is_alive():
            self._listening.join(10)
        self._listener.close()

    def stop(self) -> None:
        """Let `serve` return, from any thread."""
        self._ending.set()

    def serve(self) -> None:
        """Answer until `stop` is called or the keyboard interrupts."""
        self.address.warn()
        self._listening.start()
        while not self._ending.is_set():
            with contextlib.suppress(queue.Empty):
                self._answer(self._gather())

    def _gather(self) -> list[_Question]:
        """Return questions that have come together.

        Raises:
            queue.Empty: nobody has asked for a while.
        """
        asked = [self._questions.get(timeout=0.2)]
        with contextlib.suppress(queue.Empty):
            while len(asked) < BATCH:
                asked.append(self._questions.get(timeout=JOIN_S))
        return asked

    def _answer(self, asked: Sequence[_Question]) -> None:
        try:
            actions = np.asarray(self._policy.act([one.seen for one in asked]), dtype=np.float32)
            if len(actions) != len(asked):
                raise ValueError(f"{len(actions)} actions for {len(asked)} observations")
            for one, action in zip(asked, actions, strict=True):
                one.action = action
        except UnblindError as error:
            _tell(asked, str(error))
        except Exception as error:  # clients are told, and who serves it sees where it happened
            traceback.print_exc()
            _tell(asked, f"{type(error).__name__}: {error}")
        for one in asked:
            one.done.set()

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if not self._room.acquire(blocking=False):
                link.close()
                continue
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link: socket.socket) -> None:
        """Serve one client until it goes, or breaks the rules."""
        try:
            channel = Channel.accept(link, GREETING_S, LIMIT)
            try:
                _Talk(self, channel).go_on()
            finally:
                channel.close()
        except ChannelError:
            pass  # it has gone, or is told by the end of its connection
        finally:
            link.close()
            self._room.release()

    def number(self) -> int:
        """Return the number of a new episode, for clients that do not number theirs."""
        self._episodes += 1
        return self._episodes

    def ask(self, seen: Seen) -> np.ndarray:
        """Return the policy's action.

        Raises:
            Malformed: it has none; the text says why.
        """
        question = _Question(seen)
        self._questions.put(question)
        while not question.done.wait(0.5) and not self._ending.is_set():
            pass
        if question.action is None:
            raise Malformed(question.problem)
        return question.action

    def introduction(self, theirs: Any) -> dict[str, Any]:
        """Return how the server answers a greeting with these conventions, if it has any.

        Raises:
            Malformed: they are not the policy's.
        """
        if theirs is not None:
            asked = Conventions.from_wire(theirs)
            if differing := list(differences(asked, self._conventions)):
                # The client has the same facts, and may tell them better.
                return self._facts() | {"differences": differing}
        return self._facts()

    def _facts(self) -> dict[str, Any]:
        return {
            "harness_version": f"unblind {version_of('unblind')}",
            "protocol_version": messages.VERSION,
            "model_server": "unblind",
            "capabilities": {},
            "identity": self._identity,
            "conventions": self._conventions.to_wire(),
            **self._conventions.specs(),
        }

    @property
    def needs_images(self) -> bool:
        """Whether the policy looks at pictures."""
        return self._conventions.picture_format is not None


def _tell(asked: Sequence[_Question], problem: str) -> None:
    for one in asked:
        one.problem = problem


class _Talk:
    """What one client says, and where it is."""

    def __init__(self, server: PolicyServer, channel: Channel) -> None:
        self._server, self._channel = server, channel
        self._number, self._step = server.number(), 0
        self._refused = ""

    def go_on(self) -> None:
        """Answer messages until the client goes.

        Raises:
            ChannelError: it has.
        """
        while True:
            data, seq = self._channel.receive(None), 0
            try:
                message = messages.decode(data)
                seq = message.seq
                self._take(message)
            except Malformed as error:
                self._say("error", {"error": str(error)}, seq)

    def _take(self, message: Message) -> None:
        """Do what a message asks for."""
        payload = message.payload
        if message.kind == "hello":
            facts = self._server.introduction(payload.get("conventions"))
            self._refused = "; ".join(facts.pop("differences", ()))
            self._say("hello", facts, message.seq)
        elif message.kind == "episode_start":
            self._begin(payload)
        elif message.kind == "observation":
            action = self._act(payload)
            self._say("action", {"actions": messages.array(action)}, message.seq)

    def _begin(self, payload: dict[str, Any]) -> None:
        task = payload.get("task")
        named = task.get("episode_id") if isinstance(task, dict) else None
        is_number = type(named) is int and named >= 0
        self._number, self._step = named if is_number else self._server.number(), 0

    def _act(self, payload: dict[str, Any]) -> np.ndarray:
        if self._refused:
            raise Malformed(f"the conventions of benchmark and policy differ in {self._refused}")
        instruction = payload.get("task_description", "")
        if not isinstance(instruction, str):
            raise Malformed("its task_description is no text")
        image = messages.read_picture(payload) if self._server.needs_images else None
        if image is None and self._server.needs_images:
            raise Malformed("it shows no picture")
        seen = Seen(ToldEpisode(self._number, instruction), self._step, image)
        self._step += 1
        return self._server.ask(seen)

    def _say(self, kind: Kind, payload: dict[str, Any], seq: int) -> None:
        self._channel.send(messages.encode(Message(kind, payload, seq)), ANSWER_S)
