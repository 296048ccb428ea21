"""Lines that say how far a long step is and when it will end."""

import sys
import time

#: CPU-seconds of one unit at mini's sizes on two virtual cores of an AMD EPYC: an attempt at a
#: demonstration, a replayed episode, an episode of 80 steps of each policy, a picture of
#: pretraining, a frame of either kind of features, a frame of fine-tuning; and a frame of 640 x 480
#: that is decoded and resized for the published model.
UNIT_CPU_S = {
    "demos": 0.65,
    "replay": 1.1,
    "oracle": 1.1,
    "random": 0.65,
    "noop": 0.55,
    "vla": 2.2,
    "pretraining": 0.03,
    "features_low": 0.006,
    "features_teacher": 0.03,
    "training": 0.02,
    "pictures": 0.06,
}
#: CPU-seconds until a worker has imported everything and drawn its first picture.
START_CPU_S = 8.4


class Progress:
    """Counts finished units and prints a line now and then to standard error.

    Args:
        what: the units' name, for instance "demonstrations".
        total: units to do in this call.
        unit_cpu_s: expected CPU-seconds a unit, for the line printed before anything runs; 0 where
            nothing is known of them.
        every_s: least seconds between two lines.
    """

    def __init__(self, what: str, total: int, unit_cpu_s: float, every_s: float = 5.0) -> None:
        self.what, self.total, self.done = what, total, 0
        self._every, self._start = every_s, time.monotonic()
        self._last = self._start
        expected = f", about {total * unit_cpu_s:.0f} CPU-seconds" if unit_cpu_s else ""
        print(f"{what}: {total} to do{expected}", file=sys.stderr, flush=True)

    def advance(self, units: int = 1) -> None:
        """Count finished units."""
        if not units:
            return
        self.done += units
        now = time.monotonic()
        if now - self._last < self._every and self.done < self.total:
            return
        self._last = now
        elapsed = now - self._start
        left = elapsed / self.done * (self.total - self.done)
        self._say(f"{self.done}/{self.total}, {elapsed:.0f} s elapsed, {left:.0f} s left")

    def _say(self, text: str) -> None:
        print(f"{self.what}: {text}", file=sys.stderr, flush=True)
