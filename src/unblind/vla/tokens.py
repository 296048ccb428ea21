"""Actions as tokens: normalisation to [-1, 1], 256 bins, and the way back.

An action is (..., 7): three translations (m), three Euler angles (rad), gripper (-1 closed,
1 open). The rules are OpenVLA's as the authors' released training and evaluation use them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from unblind.errors import UnblindError

Fidelity = Literal["corrected", "released"]
#: Numbers of an action.
ACTION_WIDTH = 7
_MOTION_ONLY = (True,) * 6 + (False,)  # the gripper is not normalised
_EPSILON = 1e-8


@dataclass(frozen=True)
class ActionNormalizer:
    """Linear map of an action's 1 % and 99 % quantiles to -1 and 1 (OpenVLA's BOUNDS_Q99).

    Constant dimensions become 0. The release decides that by minimum and maximum alone and also
    for dimensions outside ``mask`` (a gripper that never moves becomes 0), and divides by 1e-8
    where only the quantiles coincide; corrected, dimensions outside the mask are never touched
    and equal quantiles count as constant.

    Attributes:
        q01: 1 % quantile, one number a dimension.
        q99: 99 % quantile.
        minimum: smallest value.
        maximum: largest value.
        mask: which dimensions are normalised.

    Raises:
        ValueError: these are no statistics: numbers differ in count, one is missing, not finite
            or above its upper end, or the mask holds something else than true and false. Key
            and dimension (from 0) are named.
    """

    q01: tuple[float, ...]
    q99: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    mask: tuple[bool, ...] = _MOTION_ONLY

    def __post_init__(self) -> None:
        """Raise ValueError where these are no statistics."""
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        numbers = {key: value for key, value in asdict(self).items() if key != "mask"}
        counts = {key: len(value) for key, value in asdict(self).items()}
        if len(set(counts.values())) != 1:
            yield f"counts differ: {', '.join(f'{n} {key}' for key, n in counts.items())}"
            return
        strange = [
            f"{key}[{k}] is {number!r}"
            for key, value in numbers.items()
            for k, number in enumerate(value)
            if type(number) not in (int, float) or not math.isfinite(number)
        ]
        strange += [
            f"mask[{k}] is {flag!r}" for k, flag in enumerate(self.mask) if type(flag) is not bool
        ]
        yield from strange
        if not strange:
            for low, high in (("q01", "q99"), ("minimum", "maximum")):
                for k, (least, most) in enumerate(zip(numbers[low], numbers[high], strict=True)):
                    if least > most:
                        yield f"{low}[{k}] is {least}, above {high}[{k}], {most}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: object) -> "ActionNormalizer":
        """Return the normaliser of stored statistics (`to_json`, `demos.manifests`).

        Args:
            values: read from a file, which may hold anything.
            where: the file, for messages.

        Raises:
            UnblindError: these are no statistics; key and dimension are named.
        """
        try:
            return cls(**{key: tuple(value) for key, value in values.items()})
        except (ValueError, TypeError, AttributeError) as error:
            cause = f"action statistics in {where} cannot be used: {error}"
            raise UnblindError(cause, "fetch or make them again") from None

    def to_json(self) -> dict[str, list[Any]]:
        """Return the statistics as plain lists."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_release(cls, values: Any, where: object) -> "ActionNormalizer":
        """Return the normaliser of one data set's entry in a ``dataset_statistics.json``.

        Args:
            values: read from a file, which may hold anything.
            where: the file and the data set, for messages.

        Raises:
            UnblindError: these are no statistics of seven dimensions; key and dimension are named.
        """
        remedy = "use the statistics that the training wrote"
        try:
            action = values["action"]
            numbers = [tuple(action[name]) for name in ("q01", "q99", "min", "max")]
            mask = tuple(action.get("mask", [True] * len(numbers[0])))
            widths = {len(part) for part in (*numbers, mask)}
            if widths != {ACTION_WIDTH}:
                raise ValueError(f"{ACTION_WIDTH} numbers wanted, found {sorted(widths)}")
            return cls(*numbers, mask)
        except ValueError as error:
            raise UnblindError(f"{where} cannot be used: {error}", remedy) from None
        except (KeyError, TypeError, AttributeError) as error:
            raise UnblindError(f"{where} are unreadable ({error!r})", remedy) from None

    def to_release(self) -> dict[str, Any]:
        """Return the entry of a data set in the release's ``dataset_statistics.json``."""
        values = self.to_json()
        values["min"], values["max"] = values.pop("minimum"), values.pop("maximum")
        return {"action": values}

    def normalize(self, actions: np.ndarray, fidelity: Fidelity = "corrected") -> np.ndarray:
        """Return actions (..., D) in [-1, 1], float64."""
        actions = np.asarray(actions, dtype=np.float64)
        q01, q99, mask = map(np.asarray, (self.q01, self.q99, self.mask))
        scaled = np.clip(2 * (actions - q01) / (q99 - q01 + _EPSILON) - 1, -1, 1)
        constant = np.equal(self.minimum, self.maximum)
        if fidelity == "corrected":
            constant = (constant | (q01 == q99)) & mask
        return np.where(constant, 0.0, np.where(mask, scaled, actions))

    def denormalize(self, normalized: np.ndarray) -> np.ndarray:
        """Return the actions (..., D) behind normalised ones, float64."""
        normalized = np.asarray(normalized, dtype=np.float64)
        q01, q99 = np.asarray(self.q01), np.asarray(self.q99)
        return np.where(self.mask, 0.5 * (normalized + 1) * (q99 - q01) + q01, normalized)


class ActionTokenizer:
    """256 uniform edges on [-1, 1]; the last ids of the vocabulary stand for the bins.

    Edge k (from 1) has id ``vocab_size - k``: -1 is 31999 and exactly 1 is 31744, an id of its
    own that decodes like 31745, for 256 edges have 255 bin centres. Edges and comparisons are
    float64: in float32 about half of the values that lie on an edge change their id.
    """

    def __init__(self, vocab_size: int = 32000, bins: int = 256) -> None:
        self.vocab_size, self.bins = vocab_size, bins
        self.edges = np.linspace(-1.0, 1.0, bins)
        self.centers = (self.edges[:-1] + self.edges[1:]) / 2

    @property
    def ids(self) -> range:
        """All action token ids, ascending."""
        return range(self.vocab_size - self.bins, self.vocab_size)

    def encode(self, normalized: np.ndarray) -> np.ndarray:
        """Return token ids (int64) of values in [-1, 1] (others are clipped), same shape."""
        values = np.clip(np.asarray(normalized, dtype=np.float64), -1.0, 1.0)
        return self.vocab_size - np.digitize(values, self.edges)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Return the bin centres (float64) of token ids; other ids give the nearest end."""
        bins = self.vocab_size - np.asarray(ids, dtype=np.int64) - 1
        return self.centers[np.clip(bins, 0, len(self.centers) - 1)]


def gripper_command(gripper: np.ndarray) -> np.ndarray:
    """Return -1 (close) or 1 (open): the release's rule 2 (g > 0.5) - 1 at execution."""
    return np.where(np.asarray(gripper) > 0.5, 1.0, -1.0)


@dataclass(frozen=True)
class ActionCodec:
    """Actions to tokens, and tokens to what the robot executes.

    Attributes:
        normalizer: actions to [-1, 1] and back.
        tokenizer: numbers in [-1, 1] to token ids and back.
        fidelity: how actions are normalised; nothing differs on the way back.
    """

    normalizer: ActionNormalizer
    tokenizer: ActionTokenizer
    fidelity: Fidelity = "corrected"

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Return token ids (..., 7) of actions (..., 7)."""
        return self.tokenizer.encode(self.normalizer.normalize(actions, self.fidelity))

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Return executable actions (..., 7) of token ids (..., 7), gripper exactly -1 or 1."""
        actions = self.normalizer.denormalize(self.tokenizer.decode(ids))
        actions[..., 6] = gripper_command(actions[..., 6])
        return actions
