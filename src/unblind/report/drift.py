"""Drift of visual tokens and the curve of forgetting: a page and a figure, from records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import figures, records
from unblind.report.answers import averaged, estimate
from unblind.report.page import write_page
from unblind.report.render import render
from unblind.report.stats import Estimate, clustered_difference, clustered_rate
from unblind.study import jobs, selection
from unblind.study.stages import STAGES

#: Measures by column of the record, with their names on axes.
MEASURES = {"cka": "linear CKA with the base", "cosine": "mean cosine with the base"}
#: Sets of pictures, the first is drawn.
PICTURES = ("held out", "demonstrations")
#: Which answers are counted (`report.answers.COLUMNS`).
COLUMN = "held out"
_KEY = ["split", "picture", "kind", "names"]
_TOKENS = (
    "step",
    "pictures",
    "site",
    "n",
    *(f"{m}{e}" for m in MEASURES for e in ("", "_low", "_high")),
)
_ANSWERS = ("step", *_KEY, "right")


@dataclass(frozen=True, eq=False)
class Followed:
    """What was recorded of one run, of each of its seeds.

    Attributes:
        run, label: of the run.
        tokens: by seed, one row a step, set of pictures and site.
        answers: by seed, one row a step and question.
        paths: the records.
    """

    run: str
    label: str
    tokens: Mapping[int, pd.DataFrame]
    answers: Mapping[int, pd.DataFrame]
    paths: tuple[Path, ...]

    @property
    def sites(self) -> list[str]:
        """Names of the sites, from first to last."""
        return list(dict.fromkeys(self._first["site"].astype(str)))

    @property
    def steps(self) -> list[int]:
        """Steps done at which the run was looked at; the last is its end."""
        return sorted(int(step) for step in self._first["step"].unique())

    @property
    def _first(self) -> pd.DataFrame:
        return next(iter(self.tokens.values()))

    def measure(self, name: str, pictures: str, step: int, site: str) -> Estimate:
        """Return a measure, seeds' mean; the interval is their mean one (over pictures alone)."""
        rows = pd.concat(self.tokens.values())
        here = (rows["step"] == step) & (rows["site"] == site) & (rows["pictures"] == pictures)
        values = (float(rows.loc[here, f"{name}{end}"].mean()) for end in ("", "_low", "_high"))
        return Estimate(*values, int(rows.loc[here, "n"].iloc[0]))

    def right(self, step: int, seed: int | None = None) -> pd.DataFrame:
        """Return the answers at a step, ``right`` being the share of seeds, or one seed's."""
        chosen = [self.answers[seed]] if seed is not None else list(self.answers.values())
        frames = [frame[frame["step"] == step].reset_index(drop=True) for frame in chosen]
        right = sum(frame["right"].astype(float) for frame in frames) / len(frames)
        return averaged(frames[0].assign(right=right), COLUMN)

    def rate(self, step: int, seed: int | None = None) -> Estimate | None:
        """Return the share of right answers, kinds weighing the same; None with too few."""
        some = self.right(step, seed)
        return estimate(clustered_rate, some) if len(some) else None

    def change(self, step: int) -> Estimate | None:
        """Return how the share has changed since step 0, on the same questions."""
        return _difference(self.right(step), self.right(0))


@dataclass(frozen=True)
class Verdict:
    """Does the run that drifts most forget more than the one that drifts least?

    Attributes:
        most, least: labels of the runs, by `MEASURES` 'cka' at ``site``, at the end.
        site: where drift is compared.
        drift: the measure of both.
        difference: right answers of ``most`` minus ``least``; None if too few were asked.
    """

    most: str
    least: str
    site: str
    drift: tuple[Estimate, Estimate]
    difference: Estimate | None

    @property
    def says(self) -> str:
        """The verdict in words, that of the interval."""
        if self.difference is None:
            return "too few questions were asked to tell"
        if self.difference.high < 0:
            return "what drifts most also forgets most"
        if self.difference.low > 0:
            return "what drifts most forgets least"
        return "no difference in forgetting is seen"


def forgetting(config: Config, folder: Path, out: Path) -> list[Path]:
    """Write ``out.md`` and ``out.png``, each with its sidecar.

    Args:
        config: names runs and seeds.
        folder: of records, ``RUN/SEED.parquet`` and ``RUN/SEED-answers.parquet``.
        out: without suffix.

    Raises:
        UnblindError: there is no record, one is corrupt or of another configuration, or the disk
            is full.
    """
    followed = load(config, folder)
    site = aligned_site(config, followed[0].sites)
    context = {
        "config": config,
        "followed": followed,
        "measures": MEASURES,
        "pictures": PICTURES,
        "site": site,
        "verdict": verdict(followed, site),
        "figure": f"{out.name}.png",
    }
    text = render("drift.md.j2", context)
    figure = draw(followed, site)
    inputs = [path for one in followed for path in one.paths]
    inputs += [Path(source) for source in STAGES["forgetting"].sources]
    return [
        write_page(config, "forgetting", Path(f"{out}.{kind}"), content, inputs)
        for kind, content in (("md", text), ("png", figure))
    ]


def load(config: Config, folder: Path) -> list[Followed]:
    """Return the records of the page's runs, of those whose records are there.

    Raises:
        UnblindError: there is none, one is corrupt or of another configuration, or seeds of a run
            were followed differently.
    """
    runs = selection.needed_runs(config, "drift", "forgetting")
    listed = (load_run(config, run, folder) for run in runs)
    found = [one for one in listed if one is not None]
    if not found:
        raise UnblindError(
            f"{folder} holds no record of drift",
            "run: unblind drift --run RUN, or the whole workflow",
        )
    return found


def load_run(config: Config, run: str, folder: Path) -> Followed | None:
    """Return the records of a run, None unless those of all its seeds are there.

    Raises:
        UnblindError: one is corrupt or of another configuration, or seeds were followed
            differently.
    """
    listed = {job.seed_of_run: job for job in jobs.of_run(config, "drift", run)}
    names = {seed: [Path(folder, run, p.name) for p in j.outputs] for seed, j in listed.items()}
    paths = tuple(path for both in names.values() for path in both)
    if not paths or not all(path.is_file() for path in paths):
        return None
    settings = jobs.settings(config, "drift", run)
    tokens = {s: records.load(both[0], _TOKENS, settings)[0] for s, both in names.items()}
    answers = {s: records.load(both[1], _ANSWERS, settings)[0] for s, both in names.items()}
    followed = Followed(run, config.runs[run].label, tokens, answers, paths)
    _check_alike(followed)
    return followed


def _check_alike(followed: Followed) -> None:
    """Refuse seeds that were looked at at other steps or asked other questions."""
    for frames, key in ((followed.tokens, _TOKENS[:3]), (followed.answers, ["step", *_KEY])):
        first, *others = (frame[list(key)].astype(str) for frame in frames.values())
        if any(not first.equals(other) for other in others):
            raise UnblindError(
                f"seeds of run '{followed.run}' were followed at different steps",
                "delete the records of drift and make them again",
            )


def aligned_site(config: Config, sites: Sequence[str]) -> str:
    """Return the site of the first aligned layer, which drift over steps is shown at."""
    layer = min(config.training.align.layers[0], len(sites) - 2)
    return f"block {layer}" if layer else sites[0]


def verdict(followed: Sequence[Followed], site: str) -> Verdict | None:
    """Compare the run that drifts most with the one that drifts least; None with one run."""
    if len(followed) < 2:
        return None
    ends = [(one.measure("cka", PICTURES[0], one.steps[-1], site), one) for one in followed]
    ends.sort(key=lambda pair: pair[0].value)
    (lowest, most), (highest, least) = ends[0], ends[-1]
    difference = _difference(most.right(most.steps[-1]), least.right(least.steps[-1]))
    return Verdict(most.label, least.label, site, (lowest, highest), difference)


def _difference(first: pd.DataFrame, second: pd.DataFrame) -> Estimate | None:
    """Return the first's share of right answers minus the second's, of the same questions."""
    if first.empty:
        return None
    if not first[_KEY].astype(str).equals(second[_KEY].astype(str)):
        raise UnblindError(
            "two runs or steps were asked different questions",
            "delete the records of drift and make them again",
        )
    return estimate(clustered_difference, first.assign(right=first["right"] - second["right"]))


# ---- the figure ---------------------------------------------------------------------------------


def draw(followed: Sequence[Followed], site: str) -> Any:
    """Return the figure: drift by site at the end, drift over steps, answers over steps."""
    figure, panels = figures.new(2, 2, 10, 7)
    by_site, by_cosine, by_step, answers = panels
    for number, one in enumerate(followed):
        for panel, measure in ((by_site, "cka"), (by_cosine, "cosine")):
            _draw_sites(panel, one, measure, number)
        _draw_steps(by_step, one, site, number)
        _draw_answers(answers, one, number)
    n = followed[0].measure("cka", PICTURES[0], 0, site).n
    for panel, name in ((by_site, MEASURES["cka"]), (by_cosine, MEASURES["cosine"])):
        panel.set(xlabel="site of the visual tokens", ylabel=name)
        panel.tick_params(axis="x", labelrotation=45)
    by_site.set_title(f"drift at the end of training ({n} held-out pictures)", fontsize=10)
    by_cosine.set_title("the same, token by token", fontsize=10)
    by_step.set_title(f"drift at {site}", fontsize=10)
    by_step.set(xlabel="training steps", ylabel=MEASURES["cka"])
    rate = followed[0].rate(0)
    asked = f" ({rate.n} questions)" if rate else ""
    answers.set_title(f"held-out answers{asked}", fontsize=10)
    answers.set(xlabel="training steps", ylabel="right answers, % (mean over kinds)")
    handles, names = by_site.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_sites(panel: Any, one: Followed, measure: str, number: int) -> None:
    rates = [one.measure(measure, PICTURES[0], one.steps[-1], site) for site in one.sites]
    figures.draw(panel, one.sites, rates, number, one.label)


def _draw_steps(panel: Any, one: Followed, site: str, number: int) -> None:
    rates = [one.measure("cka", PICTURES[0], step, site) for step in one.steps]
    figures.draw(panel, one.steps, rates, number, one.label)
    if len(one.tokens) > 1:
        for frame in one.tokens.values():
            here = frame[(frame["site"] == site) & (frame["pictures"] == PICTURES[0])]
            figures.thin(panel, here["step"], here["cka"], number)


def _draw_answers(panel: Any, one: Followed, number: int) -> None:
    rates = {step: one.rate(step) for step in one.steps}
    known = {step: rate.scaled(100) for step, rate in rates.items() if rate}
    figures.draw(panel, list(known), list(known.values()), number, one.label)
    if len(one.answers) > 1:
        for seed in one.answers:
            values = [100 * one.rate(step, seed).value for step in known]
            figures.thin(panel, list(known), values, number)
