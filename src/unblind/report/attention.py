"""Figure 4 and its page: where models look, and what they know with parts of the picture hidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config
from unblind.report import attention_figure, by_model, knockout_success
from unblind.report.attention_figure import Others
from unblind.report.by_model import Change, Measured, Row
from unblind.report.knockout_success import Blinded
from unblind.report.page import write_page
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.report.stats import ALPHA, Estimate, holm
from unblind.study.jobs import Job

#: Prompts and variants of the curves by layer, and what the page calls them.
MAPS: Mapping[tuple[str, str], str] = {
    ("action", "raw"): "instruction",
    ("action", "divided"): "instruction, divided by the generic prompt",
    ("question", "raw"): "question",
    ("question", "divided"): "question, divided by the generic prompt (as released)",
}
#: Measures of a map, and what the page calls them.
MEASURES: Mapping[str, str] = {
    "visual": "visual tokens",
    "target_lift": "target",
    "plate_lift": "plate",
    "distractor_lift": "distractor",
    "robot_lift": "robot",
    "entropy": "entropy",
    "sink": "strongest token",
}
#: Variants of the question's maps of models of others.
_VARIANTS = {variant: name for (prompt, variant), name in MAPS.items() if prompt == "question"}
#: Measures whose changes are tested at each layer.
TESTED = ("target_lift", "entropy", "sink")
#: Columns of a record that name an item, and those that hold numbers.
ITEMS = ("frame", "condition", "episode_id", "prompt", "variant", "layer")
VALUES = (*MEASURES, "target")
_CUTS = ("frame", "condition", "episode_id", "task", "hidden", "mode", "layer")
#: What is drawn independently, and what weighs the same.
CLUSTERS, STRATA = ("condition", "episode_id"), "condition"


def page(config: Config) -> list[Path]:
    """Write ``attention.md`` and ``figure4.png``; return their paths.

    Raises:
        UnblindError: a record is missing, corrupt or of another configuration, or the disk is full.
    """
    job = Job(config, "figure4")
    models = by_model.load(config, "attention", ITEMS, VALUES)
    maps = by_model.load(config, "attention", attention_figure.ITEMS, (), output=1)
    cut = by_model.load(config, "attention", _CUTS, ("loss", "right"), output=2)
    blinded = knockout_success.load(config)
    others = by_model.load_each(config, "answerer_attention", ITEMS, VALUES)
    beside_maps = by_model.load_each(config, "answerer_attention", attention_figure.ITEMS, (), 1)
    text = render("attention.md.j2", context(config, models, cut, blinded, others))
    template = PAPER / "templates" / "attention.md.j2"
    read = (models, maps, cut, blinded, others, beside_maps)
    inputs = [path for some in read for model in some.values() for path in model.paths]
    inputs.append(template)
    layer = config.training.align.layers[0]
    figure = attention_figure.draw(models, maps, layer, Others(others, beside_maps))
    return [
        write_page(config, "figure4", path, content, inputs)
        for path, content in zip(job.outputs, (text, figure), strict=True)
    ]


def context(
    config: Config,
    models: Mapping[str, Measured],
    cut: Mapping[str, Measured],
    blinded: Mapping[str, Blinded],
    others: Mapping[str, Measured] | None = None,
) -> dict[str, Any]:
    """Return what the template shows.

    Args:
        config: names the aligned layer and the prompts.
        models: attention by run.
        cut: predictions with cuts by run.
        blinded: episodes with the target hidden by run.
        others: attention of vision-language models of others by run.
    """
    pairs = by_model.pairs(models)
    return {
        "config": config,
        "labels": [model.label for model in models.values()],
        "n": _sizes(models),
        "lifts": {name: lifts(models, *key) for key, name in MAPS.items()},
        "peaks": peaks(models),
        "measures": MEASURES,
        "middle": config.training.align.layers[0],
        "at_middle": at_layer(models, config.training.align.layers[0]),
        "heads": {model.label: strongest_head(model) for model in models.values()},
        "tested": {name: MEASURES[name] for name in TESTED},
        "changes": {
            name: [change(*pair, *key) for pair in pairs]
            for key, name in MAPS.items()
            if key in (("action", "raw"), ("question", "divided"))
        },
        "alpha": ALPHA,
        "cut_labels": [model.label for model in cut.values()],
        "reliance": {task: reliance(cut, task) for task in _tasks(cut)},
        "cuts": {task: cuts(cut, task) for task in _tasks(cut)},
        "accuracy": {task: accuracy(cut, task) for task in _tasks(cut)},
        "losses": knockout_success.losses(blinded, config.seed),
        "hidden": knockout_success.HIDDEN,
        "others": {
            name: [beside(model, variant) for model in (others or {}).values()]
            for variant, name in _VARIANTS.items()
        },
    }


@dataclass(frozen=True)
class Beside:
    """The maps of a model of others, which has a depth and a grid of its own.

    Attributes:
        label: of the run.
        layers: of its decoder.
        peak: the layer at which the target gets most, and how much.
        middle: `MEASURES` at half of its depth.
    """

    label: str
    layers: int
    peak: tuple[int, Estimate] | None
    middle: Mapping[str, Estimate | None]


def beside(model: Measured, variant: str) -> Beside:
    """Return what is told of a model of others, of the question's maps."""
    some = of_map(model.frame, "question", variant)
    by_layer = {int(n): rows for n, rows in some.groupby("layer")}
    lifted = {n: estimate(rows, "target_lift") for n, rows in by_layer.items()}
    known = [(n, rate) for n, rate in lifted.items() if rate]
    peak = max(known, key=lambda one: one[1].value, default=None)
    middle = by_layer[max(1, len(by_layer) // 2)]
    return Beside(
        model.label, len(by_layer), peak, {name: estimate(middle, name) for name in MEASURES}
    )


def _sizes(models: Mapping[str, Measured]) -> dict[str, int]:
    for model in models.values():
        episodes = model.frame.groupby(list(CLUSTERS), observed=True).ngroups
        return {"frames": model.frame["frame"].nunique(), "episodes": episodes}
    return {"frames": 0, "episodes": 0}


def of_map(frame: pd.DataFrame, prompt: str, variant: str) -> pd.DataFrame:
    """Return the rows of one prompt's and variant's maps."""
    return frame[(frame["prompt"] == prompt) & (frame["variant"] == variant)]


def estimate(some: pd.DataFrame, column: str) -> Estimate | None:
    """Return a column's mean: conditions weigh the same, episodes are drawn."""
    return by_model.interval(some, column, STRATA, CLUSTERS)


def lifts(models: Mapping[str, Measured], prompt: str, variant: str) -> list[Row]:
    """Return the target's lift, a line a layer and a cell a model."""
    by_model_ = [of_map(model.frame, prompt, variant) for model in models.values()]
    layers = sorted(by_model_[0]["layer"].unique()) if by_model_ else []
    return [
        Row(str(n), [estimate(some[some["layer"] == n], "target_lift") for some in by_model_])
        for n in layers
    ]


def peaks(models: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """Return by model the layer at which its instruction's raw maps favour the target most."""
    rows = lifts(models, "action", "raw")
    found = {}
    for number, model in enumerate(models.values()):
        known = [(row.cells[number], row.heading) for row in rows if row.cells[number]]
        rate, heading = max(known, key=lambda one: one[0].value)
        found[model.label] = {"heading": heading, "rate": rate}
    return found


def at_layer(models: Mapping[str, Measured], layer: int) -> list[Row]:
    """Return all `MEASURES` of the instruction's raw maps at one layer, a line a model."""
    rows = []
    for model in models.values():
        some = of_map(model.frame, "action", "raw")
        some = some[some["layer"] == layer]
        rows.append(Row(model.label, [estimate(some, name) for name in MEASURES]))
    return rows


def change(first: Measured, second: Measured, prompt: str, variant: str) -> dict[str, Change]:
    """Return how two models' maps differ, by measure; all layers of one are a family of tests."""
    delta = of_map(first.minus(second), prompt, variant)
    by_layer = {int(n): some for n, some in delta.groupby("layer")}
    of_pair = {(first.label, second.label): by_layer}
    return {name: by_model.changes(of_pair, name, STRATA, CLUSTERS)[0] for name in TESTED}


def strongest_head(model: Measured) -> dict[str, Any] | None:
    """Return the head that looks most at the target, of the instruction's raw maps.

    It is chosen on every second episode and measured on the others: the best of many would
    otherwise look better than it is. Of several seeds, the first counts.

    Returns:
        layer, head (both from 1) and lift; None if no target is to be seen.
    """
    frame = of_map(next(iter(model.by_seed.values())), "action", "raw")
    frame = frame[frame["target_lift"].notna() & (frame["target"] > 0)]
    if frame.empty:
        return None
    heads = pd.DataFrame(frame["target_by_head"].tolist(), index=frame.index)
    area = frame["target"] / frame["target_lift"]
    lift = heads.div(area, axis=0).assign(**{name: frame[name] for name in (*CLUSTERS, "layer")})
    odd = lift["episode_id"].rank(method="dense") % 2 == 1
    means = lift[odd].groupby("layer")[list(heads)].mean().stack()
    layer, head = means.idxmax()
    rest = lift[~odd & (lift["layer"] == layer)]
    return {"layer": int(layer), "head": int(head) + 1, "lift": estimate(rest, head)}


# ---- cuts ---------------------------------------------------------------------------------------


def _tasks(cut: Mapping[str, Measured]) -> list[str]:
    return sorted({task for model in cut.values() for task in model.frame["task"].unique()})


def _against_uncut(model: Measured, task: str) -> pd.DataFrame:
    """Return the cuts of a task; ``loss`` and ``right`` are changes from the uncut prediction."""
    frame = model.frame[model.frame["task"] == task]
    uncut = frame[frame["hidden"] == "nothing"].set_index("frame")
    some, names = frame[frame["hidden"] != "nothing"], ["loss", "right"]
    before = uncut.loc[some["frame"], names].to_numpy()
    return some.assign(**dict(zip(names, (some[names].to_numpy() - before).T, strict=True)))


def _arms(cut: Mapping[str, Measured], task: str) -> dict[tuple[str, int], list[tuple]]:
    """Return by mode and layer, for each model, its changes and those beyond other tokens'."""
    found: dict[tuple[str, int], list[tuple]] = {}
    for model in cut.values():
        for key, some in _against_uncut(model, task).groupby(["mode", "layer"], observed=True):
            target, other = (some[some["hidden"] == kind] for kind in ("target", "elsewhere"))
            beyond = target.assign(loss=target["loss"].to_numpy() - other["loss"].to_numpy())
            found.setdefault(key, []).append((target, beyond))
    return dict(sorted(found.items(), key=lambda item: (item[0][0] == "from", item[0][1])))


def cuts(cut: Mapping[str, Measured], task: str) -> list[Row]:
    """Return the change of loss where the target is hidden, a line a mode and layer.

    Each model has two cells: the change, and how much it is beyond that of as many other tokens.
    """
    return [
        Row(
            f"{layer} {'only' if mode == 'only' else 'on'}",
            [estimate(some, "loss") for pair in of_models for some in pair],
        )
        for (mode, layer), of_models in _arms(cut, task).items()
    ]


def reliance(cut: Mapping[str, Measured], task: str) -> dict[str, dict[str, list[int]]]:
    """Return by model and mode the layers at which hiding the target costs more than others.

    By Holm's test over all cuts of the model.
    """
    arms = _arms(cut, task)
    found = {}
    for number, model in enumerate(cut.values()):
        beyond = {key: of_models[number][1] for key, of_models in arms.items()}
        p = holm([by_model.p_value(some, "loss", STRATA, CLUSTERS) for some in beyond.values()])
        needed = [
            key
            for (key, some), adjusted in zip(beyond.items(), p, strict=True)
            if adjusted < ALPHA and some["loss"].mean() > 0
        ]
        found[model.label] = {
            mode: [int(layer) for one, layer in needed if one == mode] for mode in ("only", "from")
        }
    return found


def accuracy(cut: Mapping[str, Measured], task: str) -> list[Row]:
    """Return shares of right tokens, a line a model.

    Uncut, then with target, other tokens and the whole picture hidden at all layers.
    """
    rows = []
    for model in cut.values():
        frame = model.frame[model.frame["task"] == task]
        everywhere = frame[(frame["mode"] == "from") & (frame["layer"] == 1)]
        some = [frame[frame["hidden"] == "nothing"]]
        some += [
            everywhere[everywhere["hidden"] == kind] for kind in ("target", "elsewhere", "picture")
        ]
        rows.append(Row(model.label, [estimate(one, "right") for one in some]))
    return rows
