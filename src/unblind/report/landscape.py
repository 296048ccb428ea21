"""The loss landscape between the base and two runs: a page and a figure, from records alone.

The paper's figure 2c is a drawing of it; every contour here is of measured models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import figures, records
from unblind.report.answers import LEAST, estimate
from unblind.report.page import write_page
from unblind.report.render import render
from unblind.report.stats import Estimate, clustered_difference, clustered_rate, paired_bootstrap
from unblind.study import jobs
from unblind.study.stages import STAGES

ANSWERS = "answers"
#: What is measured, by name in the record: title, unit, and whether more is worse.
MEASURES: Mapping[str, tuple[str, str, bool]] = {
    "action loss": ("action loss", "nats", True),
    "alignment loss": ("alignment loss", "mean -cosine", True),
    ANSWERS: ("right held-out answers", "share", False),
}
#: A barrier below this is none, however sure: it would vanish in the second digit.
LEAST_BARRIER = 0.005
_POINTS = ("point", "part", "name", "t", "step", "first", "second", "x", "y", "off")
_VALUES = ("point", "measure", "item", "kind", "value")


@dataclass(frozen=True)
class Barrier:
    """How much worse a straight line is than its ends promise, at its worst point.

    Attributes:
        measure: of `MEASURES`.
        edge: name of the line.
        start, end: the measure at its ends.
        t: where it is worst, 0 at the start and 1 at the end.
        height: at ``t``, how much worse the measure is than on the straight line between the
            values at the ends, frame by frame or question by question; positive is worse. The
            interval does not cover that the worst of several points was chosen.
    """

    measure: str
    edge: str
    start: Estimate
    end: Estimate
    t: float
    height: Estimate

    @property
    def is_seen(self) -> bool:
        """Whether the whole interval is worse than by `LEAST_BARRIER`."""
        return self.height.low > LEAST_BARRIER


@dataclass(frozen=True, eq=False)
class Landscape:
    """The records.

    Attributes:
        points: one row a point.
        values: one row a measured value of a point.
        seed: of the bootstrap.
    """

    points: pd.DataFrame
    values: pd.DataFrame
    seed: int

    @cached_property
    def edges(self) -> list[str]:
        """Names of the lines, in the order of the record."""
        return list(dict.fromkeys(self.points.loc[self.points["part"] == "edge", "name"]))

    def on(self, edge: str) -> pd.DataFrame:
        """Return the points of a line from its start to its end."""
        points = self.points
        return points[(points["part"] == "edge") & (points["name"] == edge)].sort_values("t")

    def rates(self, edge: str, measure: str) -> list[Estimate]:
        """Return a measure along a line, with 95 % intervals over frames or pictures."""
        at = (self._at(point, measure) for point in self.on(edge)["point"])
        return [self._estimate(measure, frame, clustered_rate) for frame in at]

    def is_measured(self, edge: str, measure: str) -> bool:
        """Whether there are values along a line: not where too few questions were asked."""
        return not self._at(self.on(edge)["point"].iloc[0], measure).empty

    def barrier(self, edge: str, measure: str) -> Barrier | None:
        """Return the barrier of a line; None where too few questions were asked."""
        if not self.is_measured(edge, measure):
            return None
        line, sign = self.on(edge), 1 if MEASURES[measure][2] else -1
        by_point = [self._at(point, measure) for point in line["point"]]
        start, end = (by_point[k]["value"].to_numpy() for k in (0, -1))
        heights = [
            frame.assign(value=sign * (frame["value"].to_numpy() - (1 - t) * start - t * end))
            for t, frame in zip(line["t"], by_point, strict=True)
        ]
        inner = {
            k: self._estimate(measure, heights[k], clustered_difference)
            for k in range(1, len(heights) - 1)
        }
        worst = max(inner, key=lambda k: inner[k].value)
        ends = (self._estimate(measure, by_point[k], clustered_rate) for k in (0, -1))
        return Barrier(measure, edge, *ends, float(line["t"].iloc[worst]), inner[worst])

    def grid(self, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x (columns), y (rows) and the mean of a measure (rows, columns) on the grid."""
        points = self.points[self.points["part"] == "grid"]
        means = [self._mean(self._at(point, measure)) for point in points["point"]]
        table = points.assign(value=means, x=points["x"].round(9), y=points["y"].round(9))
        table = table.pivot(index="y", columns="x", values="value")
        return table.columns.to_numpy(), table.index.to_numpy(), table.to_numpy()

    def paths(self) -> dict[str, pd.DataFrame]:
        """Return the points of each run's training, from the base to its end."""
        paths = self.points[self.points["part"] == "path"]
        return {run: path.sort_values("step") for run, path in paths.groupby("name", sort=False)}

    @cached_property
    def _groups(self) -> dict[tuple[int, str], pd.DataFrame]:
        return dict(iter(self.values.groupby(["point", "measure"])))

    def _at(self, point: int, measure: str) -> pd.DataFrame:
        """Return the values at a point; of answers, those of kinds asked often enough."""
        frame = self._groups[(point, measure)]
        if measure != ANSWERS:
            return frame
        return frame[frame.groupby("kind")["kind"].transform("size") >= LEAST]

    def _mean(self, frame: pd.DataFrame) -> float:
        """Return the mean over kinds of question, or over frames, which are of one kind."""
        return float(frame.groupby("kind")["value"].mean().mean())

    def _estimate(self, measure: str, frame: pd.DataFrame, of_answers: Any) -> Estimate:
        """Return a mean with its interval, which ``of_answers`` makes of answers."""
        if measure == ANSWERS:
            return estimate(of_answers, frame.rename(columns={"value": "right", "item": "picture"}))
        return Estimate(*paired_bootstrap([frame["value"].to_numpy()], self.seed), len(frame))


def figure2c(config: Config, folder: Path, out: Path) -> list[Path]:
    """Write ``landscape.md`` and ``figure2c.png``, each with its sidecar.

    Args:
        config: for labels, sizes and the bootstrap's seed.
        folder: of the records ``points.parquet`` and ``values.parquet``.
        out: folder of both.

    Raises:
        UnblindError: a record is missing, corrupt or of another configuration, or the disk is
            full.
    """
    land, paths = load(config, folder)
    names = {"base": "base"} | {run: config.runs[run].label for run in config.landscape.runs}
    text = render("landscape.md.j2", _context(config, land, names))
    inputs = [*paths, *map(Path, STAGES["figure2c"].sources)]
    return [
        write_page(config, "figure2c", Path(out, name), content, inputs)
        for name, content in (("landscape.md", text), ("figure2c.png", draw(land, names)))
    ]


def _context(config: Config, land: Landscape, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the template shows."""
    barriers = [
        barrier
        for measure in MEASURES
        for edge in land.edges
        if (barrier := land.barrier(edge, measure))
    ]
    return {
        "config": config,
        "names": names,
        "measures": MEASURES,
        "barriers": barriers,
        "paths": land.paths(),
        "edge": lambda edge: between(edge, names),
        "counts": _counts(config),
        "least": LEAST,
        "least_barrier": LEAST_BARRIER,
    }


def load(config: Config, folder: Path) -> tuple[Landscape, list[Path]]:
    """Return the records of the landscape and their files.

    Raises:
        UnblindError: the study has no landscape, or a record is missing, corrupt or of another
            configuration.
    """
    check_runs(config)
    settings = jobs.settings(config, "landscape")
    paths = [Path(folder, f"{name}.parquet") for name in ("points", "values")]
    points, values = (
        records.load(path, columns, settings)[0]
        for path, columns in zip(paths, (_POINTS, _VALUES), strict=True)
    )
    points["part"] = points["part"].astype(str)
    for column in ("measure", "kind"):
        values[column] = values[column].astype(str)
    values["value"] = values["value"].astype(float)
    return Landscape(points, values, config.seed), paths


def check_runs(config: Config) -> None:
    """Refuse a study without a landscape.

    Raises:
        UnblindError: its two runs are unknown, not trained, or no rows of Table 1.
    """
    for run in config.landscape.runs:
        config.run(run)
    if not STAGES["landscape"].when(config):
        raise UnblindError(
            f"landscape.runs ({', '.join(config.landscape.runs)}) are not two trained runs of our "
            "own base in table1.rows",
            "name two such runs: --set landscape.runs='[RUN, RUN]'",
        )


def between(edge: str, names: Mapping[str, str]) -> str:
    """Return the name of a line with its ends' labels."""
    start, end = edge.split(" to ")
    return f"{names[start]} to {names[end]}"


def _counts(config: Config) -> dict[str, tuple[int, int]]:
    asked = config.landscape
    return {
        "grid": (asked.frames, asked.pictures),
        "edge": (asked.edge_frames, asked.edge_pictures),
    }


# ---- the figure ---------------------------------------------------------------------------------


def draw(land: Landscape, names: Mapping[str, str]) -> Any:
    """Return the figure: contours of each measure, and below them the three lines."""
    figure, panels = figures.new(2, len(MEASURES), 13, 8)
    above, below = panels[: len(MEASURES)], panels[len(MEASURES) :]
    for panel, measure in zip(above, MEASURES, strict=True):
        _draw_plane(figure, panel, land, measure, names)
    for panel, measure in zip(below, MEASURES, strict=True):
        _draw_lines(panel, land, measure, names)
    above[0].legend(fontsize=8)
    below[0].legend(frameon=False, fontsize=8)
    return figure


def _draw_plane(
    figure: Any, panel: Any, land: Landscape, measure: str, names: Mapping[str, str]
) -> None:
    title, unit, _ = MEASURES[measure]
    xs, ys, values = land.grid(measure)
    if np.isfinite(values).all():
        filled = panel.contourf(xs, ys, values, levels=12, cmap="cividis")
        panel.contour(xs, ys, values, levels=filled.levels, colors="white", linewidths=0.4)
        figure.colorbar(filled, ax=panel, label=f"{title}, {unit}")
    for number, (run, path) in enumerate(land.paths().items()):
        style = figures.style(number + 1)
        panel.plot(
            path["x"],
            path["y"],
            label=f"training of {names[run]}",
            markersize=4,
            markeredgecolor="white",
            **style._asdict(),
        )
        end = path.iloc[-1]
        _name(panel, end["x"], end["y"], names[run])
    _name(panel, 0.0, 0.0, names["base"])
    panel.set_title(title, fontsize=10)
    panel.set(xlabel="length along the first change of weights", ylabel="length across it")


def _name(panel: Any, x: float, y: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    panel.annotate(
        text, (x, y), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8, bbox=box
    )


def _draw_lines(panel: Any, land: Landscape, measure: str, names: Mapping[str, str]) -> None:
    title, unit, _ = MEASURES[measure]
    for number, edge in enumerate(land.edges):
        if not land.is_measured(edge, measure):
            continue
        rates = land.rates(edge, measure)
        figures.draw(panel, land.on(edge)["t"], rates, number, between(edge, names))
    panel.set(xlabel="share of the way along the straight line", ylabel=f"{title}, {unit}")
