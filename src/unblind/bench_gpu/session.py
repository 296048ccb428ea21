"""Parts of a measurement one after the other: each within its time, nothing lost if one fails."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from unblind.bench_gpu import report
from unblind.bench_gpu.budget import Budget, OutOfTime
from unblind.errors import UnblindError

Work = Callable[[Budget], None]


class Session:
    """Results so far, and the time that is left.

    Args:
        out: JSON file; rewritten after every part.
        budget: of all parts together.
        seconds: name of every part, in order, and the most that it may take.
        results: what is known before anything is measured.

    Attributes:
        results: what was measured; parts add to it.
    """

    def __init__(
        self, out: Path, budget: Budget, seconds: Mapping[str, float], results: Mapping[str, Any]
    ) -> None:
        self.results: dict[str, Any] = {**results, "complete": False, "parts": {}}
        self._out, self._budget, self._seconds = out, budget, seconds

    def do(self, name: str, work: Work, needs: Iterable[str] = ()) -> None:
        """Do a part, if those that it needs are done and time is left.

        Args:
            name: of the part.
            work: measures within a budget and adds to the results as it goes.
            needs: names of parts.

        Raises:
            UnblindError: results cannot be written.
        """
        parts = self.results["parts"]
        limit, start = min(self._seconds[name], self._budget.left), time.monotonic()
        missing = [other for other in needs if parts[other]["state"] != "done"]
        if missing:
            state = f"needs {missing[0]}"
        elif not limit:
            state = "out of time"
        else:
            say(f"{name}: at most {limit:.0f} s")
            state = _try(work, self._budget.part(limit))
        took = time.monotonic() - start
        say(f"{name}: {state}, {took:.0f} s")
        parts[name] = {"at_most_s": self._seconds[name], "took_s": round(took, 1), "state": state}
        done = [part for part, entry in parts.items() if entry["state"] == "done"]
        self.results["complete"] = done == list(self._seconds)
        report.write(self._out, self.results)

    def finish(self) -> dict[str, Any]:
        """Return the results.

        Raises:
            UnblindError: a part could not be measured.
        """
        if not self.results["complete"]:
            raise UnblindError(
                f"bench-gpu is incomplete: {report.states(self.results)}",
                f"see {self._out} for what was measured; give it more --minutes or a larger GPU",
            )
        return self.results


def _try(work: Work, budget: Budget) -> str:
    try:
        work(budget)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return "out of memory"
    except OutOfTime:
        return "out of time"
    return "done"


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"bench-gpu: {text}", file=sys.stderr, flush=True)
