"""What a defect of the release costs: Default's success with one defect, minus Default's without.

A defect that changes data, training or evaluation is a study of its own (`Config.defects`), whose
Default is compared with that of this study on the same episodes. Defects that concern counting
alone are counted from the records that are there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from unblind.config import Config
from unblind.config import load as load_config
from unblind.config.files import layers
from unblind.errors import UnblindError
from unblind.report import records
from unblind.report.ablations import TESTED, judge
from unblind.report.differences import GROUPS, Paired, pair, paired, shared
from unblind.report.page import write_page
from unblind.report.published import PAPER
from unblind.report.records import Records, is_evaluated, load_run
from unblind.report.render import render
from unblind.report.stats import Estimate, clustered_difference
from unblind.report.summary import COLUMNS
from unblind.sim import conditions
from unblind.study import jobs

#: The run in which defects are measured.
RUN = "default"
#: Headings of all columns, in printing order.
_HEADINGS = [column for group in COLUMNS.values() for column in group]
_PARITY = ("episode_id", "in_hand", "answered", "right")


@dataclass(frozen=True)
class Cost:
    """One defect; differences are with it minus without it, on the same episodes.

    Attributes:
        name, label: of the defect.
        entries: ids of the audit's ledger.
        groups: by group of `differences.GROUPS`; empty if it was not run.
        columns: by column.
        p: by group of `TESTED`, of the exact McNemar test, Holm over all defects that are tested.
        same_weights: whether the compared models are the same, byte by byte.
    """

    name: str
    label: str
    entries: tuple[str, ...]
    groups: Mapping[str, Paired]
    columns: Mapping[str, Paired]
    p: Mapping[str, float]
    same_weights: bool


@dataclass(frozen=True)
class Parity:
    """VL-Think's Parity, whose release scores the board that is not named; rates are fractions.

    Attributes:
        right: share of episodes that end on the named board.
        released: share that the release counts: on the other one.
        difference: the second minus the first, with its interval; episode ids are clusters.
    """

    right: float
    released: float
    difference: Estimate


def defects(config: Config, results: Path) -> list[Path]:
    """Write ``results/defects.md`` with its sidecar.

    Args:
        config: its section ``defects`` names the studies.
        results: folder of this study's records.

    Raises:
        UnblindError: Default's records are missing, a record is corrupt or does not belong to its
            study, a study has other episodes or this one's folder, or its file is missing.
    """
    own = load_run(config, RUN, results / "rollouts")
    studies = {name: _study(config, name) for name in config.defects}
    found = {name: one for name, study in studies.items() if (one := _default(study))}
    parity, parity_paths = _parity(config, results / "think")
    statistics = jobs.base_folder(config) / "statistics.json"
    costs = measure(config, own, found)
    context = {
        "config": config,
        "groups": list(GROUPS),
        "tested": TESTED,
        "headings": _HEADINGS,
        "costs": costs,
        "any_step": _any_step(config, own),
        "parity": parity,
        "constant": constant_dimensions(statistics),
        "ids": ids(own),
    }
    template = "defects.md.j2"
    inputs = [*own.paths, *parity_paths, statistics, PAPER / "templates" / template]
    inputs += [path for one in found.values() for path in one.paths]
    inputs += sorted({path for one in config.defects.values() for path in layers(Path(one.file))})
    out = results / "defects.md"
    return [write_page(config, "defects", out, render(template, context), inputs)]


def measure(config: Config, own: Records, found: Mapping[str, Records]) -> list[Cost]:
    """Return what each defect of the configuration costs, in its order.

    Args:
        config: names the defects.
        own: Default's records without any.
        found: by name of the defect, Default's records with it, where there are some.

    Raises:
        UnblindError: two studies have different episodes.
    """
    pairs = {name: pair(*shared(one, own)) for name, one in found.items()}
    groups = {name: _groups(frame, config.seed) for name, frame in pairs.items()}
    p, _ = judge(groups)
    return [
        Cost(
            name,
            about.label,
            tuple(about.entries),
            groups.get(name, {}),
            _columns(pairs[name], config.seed) if name in pairs else {},
            p.get(name, {}),
            name in found and _weights(found[name]) <= _weights(own),
        )
        for name, about in config.defects.items()
    ]


def _study(config: Config, name: str) -> Config:
    """Return the study that has a defect.

    Raises:
        UnblindError: its file is missing or wrong, or it writes into this study's folder.
    """
    file = config.defects[name].file
    study = load_config(file)
    if study.results == config.results:
        raise UnblindError(
            f"{file} has the folder of the study without defects: {config.results}",
            "give it a folder of its own, by the key results",
        )
    return study


def _default(study: Config) -> Records | None:
    folder = Path(study.results, "rollouts")
    return load_run(study, RUN, folder) if is_evaluated(study, RUN, folder) else None


def _groups(pairs: pd.DataFrame, seed: int) -> dict[str, Paired]:
    return {group: paired(pairs, columns, seed) for group, columns in GROUPS.items()}


def _columns(pairs: pd.DataFrame, seed: int) -> dict[str, Paired]:
    return {column: paired(pairs, (column,), seed) for column in _HEADINGS}


def _weights(run: Records) -> set[str]:
    """Return the checksums of the adapters that records were made with."""
    return set(_adapters(run))


def _adapters(run: Records) -> Iterator[str]:
    for meta in run.metas:
        for name, checksum in meta.get("inputs", {}).items():
            if Path(name).name == "adapter_model.safetensors":
                yield checksum


def _any_step(config: Config, own: Records) -> dict[str, Paired]:
    """Return success at any step minus success at the last one, of the same episodes."""
    counted = own.episodes.assign(success_final=own.episodes["success_any"])
    return _groups(pair(replace(own, episodes=counted), own), config.seed)


def _parity(config: Config, folder: Path) -> tuple[Parity | None, list[Path]]:
    """Return Parity scored both ways, and the records; None unless all seeds are there.

    It has two boards: who stands on one that is not named stands on the one that the release
    scores.
    """
    paths = [folder / RUN / str(seed) / "parity.parquet" for seed in config.seeds]
    if not all(path.is_file() for path in paths):
        return None, []
    settings = jobs.settings(config, "think", RUN)
    rows = pd.concat([records.load(path, _PARITY, settings)[0] for path in paths])
    right = rows["right"].astype(float)
    released = (rows["answered"] & ~rows["right"]).astype(float)
    change = (released - right).to_numpy()
    interval = clustered_difference(
        change, rows["in_hand"].to_numpy(), rows["episode_id"].to_numpy()
    )
    starts = rows["in_hand"]
    means = (float(values.groupby(starts).mean().mean()) for values in (right, released))
    return Parity(*means, Estimate(*interval, len(rows))), paths


def constant_dimensions(statistics: Path) -> int:
    """Return in how many of the action's dimensions the release normalises otherwise than we do.

    It does where smallest and largest value, or both quantiles, are the same.

    Raises:
        UnblindError: the file is missing or holds no statistics.
    """
    try:
        values = json.loads(statistics.read_text(encoding="utf-8"))
        rows = [values[name] for name in ("minimum", "maximum", "q01", "q99")]
        return sum(low == high or q01 == q99 for low, high, q01, q99 in zip(*rows, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        cause = f"{statistics} is missing or unreadable"
        raise UnblindError(cause, "run: unblind base pull") from None


def ids(own: Records) -> dict[str, int]:
    """Return how many episodes there are, how many ids lie beyond their space, and beyond 32 bits.

    The release takes the first to be other episodes; so would whoever stored the second in 32 bits.
    """
    counts = {"all": len(own.episodes), "outside": 0, "long": 0}
    for name, some in own.episodes.groupby("condition"):
        condition = conditions.get(str(name))
        numbers = some["episode_id"]
        counts["outside"] += int((numbers >= condition.space(condition.split).size).sum())
        counts["long"] += int((numbers >= 2**32).sum())
    return counts
