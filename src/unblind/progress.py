"""Lines that say how far a long step is and when it will end."""

import sys
import threading

from tqdm import tqdm

# By default a lock between processes, which a killed one would leave behind.
tqdm.set_lock(threading.RLock())
_TEXT = "{n_fmt}/{total_fmt}, {elapsed_s:.0f} s elapsed, {remaining_s:.0f} s left"


class Progress(tqdm):
    """Says what a long step will cost, then how far it is: a bar, or lines where nobody watches.

    Args:
        what: the units' name, for instance "demonstrations".
        total: units to do in this call.
        unit_cpu_s: expected CPU-seconds a unit, for the line printed before anything runs; 0 where
            nothing is known of them.
        every_s: least seconds between two lines where standard error is no terminal.
    """

    monitor_interval = 0  # no thread beside ours: workers are forked
    _watched = False  # also where an interrupt comes before `__init__` is done

    def __init__(self, what: str, total: int, unit_cpu_s: float, every_s: float = 5.0) -> None:
        expected = f", about {total * unit_cpu_s:.0f} CPU-seconds" if unit_cpu_s else ""
        print(f"{what}: {total} to do{expected}", file=sys.stderr, flush=True)
        self._watched = sys.stderr.isatty()
        super().__init__(
            desc=what,
            total=total,
            file=sys.stderr,
            disable=not total,
            mininterval=0.1 if self._watched else every_s,
            miniters=1,
            smoothing=0,
            bar_format=f"{{l_bar}}{{bar}}{_TEXT}" if self._watched else f"{{desc}}: {_TEXT}",
        )

    def advance(self, units: int = 1) -> None:
        """Count finished units."""
        self.update(units)
        if self.total and self.n >= self.total:
            if self.last_print_n < self.n:
                self.refresh()
            self.close()

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the state as a bar, or as a line of its own."""
        if self._watched:
            super().display(msg, pos)
        elif self.n:
            print(self, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is; after lines there is nothing to do."""
        if self._watched:
            super().close()
        self.disable = True
