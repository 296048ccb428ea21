"""What a table says about its own making, taken from the sidecars alone."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.report import setups
from unblind.report.answers import Answers
from unblind.report.gates import Gate
from unblind.report.records import Records, episode_lists_hash
from unblind.report.stats import wilson
from unblind.report.summary import COLUMN_OF
from unblind.study import jobs, provenance

_SHORT = 12  # hexadecimal digits shown of a hash
_FILES = 4  # names shown of missing files
Meta = Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """One line of a footer."""

    name: str
    value: str


@dataclass(frozen=True)
class Manifest:
    """The demonstrations' manifest and its sidecar."""

    counts: Mapping[str, Any]
    meta: Meta


def load_manifest(config: Config, folder: Path | str) -> Manifest:
    """Read ``folder/manifest.json`` and its sidecar.

    Raises:
        UnblindError: it is missing, corrupt or of another configuration.
    """
    path = Path(folder, "manifest.json")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        counts = {key: document[key] for key in ("attempts", "successes", "frames", "noop_filter")}
        counts["left_out"] = sum(document.get("not_collected", {"slots": {}})["slots"].values())
    except FileNotFoundError:
        raise UnblindError(f"{path} is missing", "run: unblind demos") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnblindError(f"{path} is corrupt", "delete it and run: unblind demos") from None
    meta = provenance.read(path)
    if meta.get("sha256") != sha256(path):
        raise UnblindError(f"{path} is corrupt", "delete it and run: unblind demos")
    if meta.get("config_hash") != digest(jobs.settings(config, "demos")):
        raise UnblindError(f"{path} was made with another configuration", "run: unblind demos")
    return Manifest(counts, meta)


def facts(
    config: Config,
    records: Mapping[str, Records],
    told_otherwise: Mapping[tuple[str, str], Records],
    manifest: Manifest,
    replay: tuple[pd.DataFrame, Meta],
    gates: Iterable[Gate],
    answers: Mapping[str, Answers],
) -> list[Fact]:
    """Return the footer of Table 1; equal inputs give equal facts.

    Records and answers are by run, ``told_otherwise`` by run and record of an instruction arm;
    ``replay`` is its record and the sidecar.

    Raises:
        UnblindError: the runs were evaluated on different episodes.
    """
    evaluated = [*records.values(), *told_otherwise.values()]
    rollouts = [meta for run_records in evaluated for meta in run_records.metas]
    asked = [meta for model in answers.values() for meta in model.metas]
    stages = {"demos": [manifest.meta], "replay": [replay[1]], "rollouts": rollouts}
    stages |= {"answers": asked}
    metas = [meta for stage in stages.values() for meta in stage]
    return [
        Fact("Scale", f"{config.scale}, {config.fidelity} environments, catalog {config.catalog}"),
        Fact("Seeds", ", ".join(str(seed) for seed in config.seeds)),
        Fact("Episodes, the same for all runs", _episodes(config, records)),
        *_not_run(records),
        Fact("Demonstrations", _demonstrations(manifest, config)),
        Fact("Replay of demonstrations", _ceiling(replay[0])),
        *(Fact(gate.name, gate.text) for gate in gates),
        *_training(config, records),
        Fact("Commit", _distinct(_commit(meta) for meta in metas)),
        *(Fact(f"Code of {name}", _code(stage)) for name, stage in stages.items() if stage),
        Fact("Renderer", _distinct(_pairs(meta["renderer"]) for meta in metas)),
        Fact("Packages", _distinct(_versions(meta) for meta in metas)),
        Fact("Hardware", _distinct(provenance.hardware_text(meta["hardware"]) for meta in metas)),
        Fact("CPU-seconds", _cpu(stages, records, told_otherwise, answers)),
    ]


def _episodes(config: Config, records: Mapping[str, Records]) -> str:
    digest = episode_lists_hash(records.values())[:_SHORT]
    return f"for {config.rollout.purpose}, SHA-256 of their ids {digest}"


def _demonstrations(manifest: Manifest, config: Config) -> str:
    counts, frames = manifest.counts, manifest.counts["frames"]
    share = 100 * counts["successes"] / counts["attempts"]
    return (
        f"{counts['successes']} successes of {counts['attempts']} attempts ({share:.1f} %), "
        f"no-op filter '{counts['noop_filter']}' keeps {frames['kept']} of {frames['raw']} frames, "
        f"Euler encoding '{config.demos.euler}'"
        + (f", {counts['left_out']} left out for lack of files" if counts["left_out"] else "")
    )


def _not_run(records: Mapping[str, Records]) -> list[Fact]:
    """Return how many episodes were left out and why; nothing if all were run."""
    runs: dict[str, list[str]] = {}
    for run, run_records in records.items():
        counts = Counter(condition for _, condition, _ in run_records.left_out)
        listed = (f"{name} {counts[key]}" for key, name in COLUMN_OF.items() if counts[key])
        runs.setdefault(", ".join(listed), []).append(run)
    told = [f"{', '.join(names)}: {counts}" for counts, names in runs.items() if counts]
    if not told:
        return []
    lacking = [files for run_records in records.values() for files in run_records.left_out.values()]
    names = list(dict.fromkeys(name for files in lacking for name in files))
    more = f" and {len(names) - _FILES} more" if len(names) > _FILES else ""
    why = f"missing or changed in the catalog: {', '.join(names[:_FILES])}{more}"
    return [Fact("Episodes not run", f"{'; '.join(told)}; {why}")]


def _training(config: Config, records: Mapping[str, Records]) -> list[Fact]:
    """Return the set-ups of trained rows, and what their number leaves open."""
    labels = {run: config.runs[run].label for run in records}
    trained = {run: run_records for run, run_records in records.items() if config.runs[run].method}
    others = {run: run_records for run, run_records in records.items() if run not in trained}
    texts = setups.lines(trained, labels) | setups.lines(others, labels)
    details = [Fact(name, text) for name, text in texts.items()]
    seeds = setups.training_seeds(trained)
    if seeds is None:
        return details
    noise = "training noise not covered" if seeds == 1 else "their spread is the seeds' SD"
    return [*details, Fact("Training seeds", f"{seeds}: {noise}")]


def _ceiling(replay: pd.DataFrame) -> str:
    parts = []
    for name in ("raw", "tokenised"):
        successes, n = int(replay[f"{name}_success"].sum()), len(replay)
        low, high = wilson(successes, n)
        parts.append(
            f"{name} {100 * successes / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}] "
            f"({successes}/{n})"
        )
    return ", ".join(parts)


def _commit(meta: Meta) -> str:
    if meta["dirty"] is None:
        return str(meta["commit"])
    return f"{meta['commit'][:_SHORT]} ({'with changes' if meta['dirty'] else 'clean'})"


def _code(metas: Iterable[Meta]) -> str:
    return _distinct(_code_of(meta) for meta in metas)


def _code_of(meta: Meta) -> str:
    """Return the hash of what made an artifact; where it is proved equal to older code, both."""
    known, own = meta["code_hash"][:_SHORT], meta.get("source_hash", meta["code_hash"])[:_SHORT]
    return known if own == known else f"{own}, code proved equal to {known}"


def _versions(meta: Meta) -> str:
    return _pairs({"Python": meta["python"], **meta["packages"]})


def _pairs(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in fields.items() if value is not None)


def _cpu(
    stages: Mapping[str, list[Meta]],
    records: Mapping[str, Records],
    told_otherwise: Mapping[tuple[str, str], Records],
    answers: Mapping[str, Answers],
) -> str:
    costs = {name: stages[name] for name in ("demos", "replay")}
    costs |= {f"rollouts of {run}": list(run_records.metas) for run, run_records in records.items()}
    for (run, _), told in told_otherwise.items():
        costs.setdefault(f"{run} told otherwise", []).extend(told.metas)
    costs |= {f"answers of {run}": list(model.metas) for run, model in answers.items()}
    totals = {name: sum(meta["cpu_s"] for meta in metas) for name, metas in costs.items()}
    parts = [f"{name} {seconds:.0f}" for name, seconds in totals.items()]
    together = f"together {sum(totals.values()):.0f} (features and training: `unblind costs`)"
    return ", ".join([*parts, together])


def _distinct(values: Iterable[str]) -> str:
    """Join the different values in order of appearance: one value when all agree."""
    return " | ".join(dict.fromkeys(values))
