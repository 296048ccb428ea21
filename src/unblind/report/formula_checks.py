"""How well a study that was run here bears out the formulas of the paper's costs."""

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unblind.config import Config, Model
from unblind.errors import UnblindError
from unblind.report import costs, measured, paper_scale
from unblind.report.paper_constants import VALUES
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, stages


@dataclass(frozen=True)
class FormulaCheck:
    """A number by formula, and the same as measured.

    Attributes:
        what: the number, with its unit.
        formula: by formula at the size of the study.
        measured: as files and sidecars say.
    """

    what: str
    formula: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured by formula: 1 is perfect, more says that the formula promises too little."""
        return self.measured / self.formula


def checks(study: Config) -> list[FormulaCheck]:
    """Return a check for every formula that results of a study can tell something about.

    Results that are incomplete, damaged or of other settings are passed over.

    Args:
        study: a study, of which some stages may have been run.
    """
    found = [*_parameters(study), *_adapters(study), *_demos(study), *_records(study)]
    return [*found, *_cpu(study)]


def _parameters(study: Config) -> Iterator[FormulaCheck]:
    file, (model, vocabulary) = jobs.base_folder(study) / "model.safetensors", _sizes(study)
    shapes = _shapes(file)
    if not shapes or not vocabulary:
        return
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    decoder = paper_scale.decoder_parameters(model, vocabulary)
    yield FormulaCheck("parameters of the decoder", decoder, _under(counts, "language_model."))
    if joined := shapes.get("projector.fc1.weight", [0, 0])[1]:
        projector = paper_scale.projector_parameters(model, joined)
        yield FormulaCheck("parameters of the projector", projector, _under(counts, "projector."))
    yield FormulaCheck("bytes of the base", 2 * sum(counts.values()), file.stat().st_size)


def _adapters(study: Config) -> Iterator[FormulaCheck]:
    (model, vocabulary), rank = _sizes(study), study.training.rank
    for run, settings in study.runs.items():
        folder = jobs.run_folder(study, run, study.seeds[0])
        shapes = _shapes(folder / stages.ADAPTER_FILES[0]) if settings.method else {}
        if not shapes or not vocabulary:
            continue
        counts = {name: math.prod(shape) for name, shape in shapes.items()}
        formula = paper_scale.decoder_adapters(model, vocabulary, rank)
        found = _under(counts, "language_model.")
        yield FormulaCheck(f"weights of {run}'s adapters in the decoder", formula, found)
        kept = (study.training.snapshots + 1) * 2 * sum(counts.values())
        kept += _size(folder / "projector.safetensors")
        stored = sum(_size(path) for path in folder.rglob("*") if path.is_file())
        yield FormulaCheck(f"bytes of one training of {run}", kept, stored)


def _demos(study: Config) -> Iterator[FormulaCheck]:
    folder = jobs.demos_folder(study)
    stage = next(one for one in measured.stages(study, Path(study.results)) if one.name == "demos")
    with contextlib.suppress(UnblindError, OSError, ValueError, KeyError, TypeError):
        cost = measured.measure(stage)
        if cost is None:
            return
        manifest = json.loads((folder / stages.MANIFEST).read_text(encoding="utf-8"))
        frames = costs.FRAMES * manifest["successes"]
        yield FormulaCheck("frames of training demonstrations", frames, manifest["frames"]["kept"])
        held_out = costs.TRAINING_OBJECTS * study.demos.held_out_per_object
        pixels = study.render.width * study.render.height
        formula = (study.demos.successes + held_out) * costs.FRAMES * pixels * VALUES["D_pixel"]
        yield FormulaCheck("bytes of demonstrations", formula, cost.disk)


def _records(study: Config) -> Iterator[FormulaCheck]:
    import pyarrow.parquet as pq

    each = sum(study.rollout.count(one.name) for one in CONDITIONS)
    for stage in measured.stages(study, Path(study.results)):
        if not stage.name.startswith("rollouts of "):
            continue
        with contextlib.suppress(UnblindError, OSError, ValueError):
            cost = measured.measure(stage)
            if cost is None:
                continue
            episodes = len(study.seeds) * each
            rows = sum(pq.read_metadata(path).num_rows for path in stage.artifacts)
            yield FormulaCheck(f"episodes of the {stage.name}", episodes, rows)
            formula = paper_scale.record_bytes(len(stage.artifacts), episodes)
            told = cost.disk + sum(_size(path) for path in stage.sources())
            yield FormulaCheck(f"bytes of the {stage.name}", formula, told)


def _cpu(study: Config) -> Iterator[FormulaCheck]:
    """Yield checks of the stages that need no model: at the paper's size only these are CPU's."""
    for rebuild in (False, True):
        config = study.model_copy(update={"rebuild_base": rebuild})
        expected, found = costs.estimate(config), costs.measure(config, Path(study.results))
        for stage, seconds in found.items():
            if stage in expected and _is_simulation(study, stage, rebuild):
                yield FormulaCheck(f"CPU-seconds of {stage}", expected[stage], seconds)


def _is_simulation(study: Config, stage: str, rebuild: bool) -> bool:
    if rebuild:
        return stage in ("base: questions", "base: demos", "base: warm-up demos")
    run = study.runs.get(stage.removeprefix("rollouts of "))
    return stage in ("demos", "replay") or bool(run and run.policy != "vla")


def _shapes(file: Path) -> dict[str, list[int]]:
    """Return the shapes in a safetensors file by name, nothing if there is no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}
    except (OSError, SafetensorError):
        return {}


def _sizes(study: Config) -> tuple[Model, int]:
    """Return the sizes of the base that is there, and its vocabulary; 0 if it is not readable.

    A pulled base may be larger than the one that the study would make.
    """
    try:
        text = (jobs.base_folder(study) / "config.json").read_text(encoding="utf-8")
        values = json.loads(text)
        known = {key: values[key] for key in Model.model_fields}
        return Model.model_validate(known), int(values["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return study.base.model, 0


def _under(counts: dict[str, int], part: str) -> int:
    """Return the weights of the tensors whose names have this part."""
    return sum(count for name, count in counts.items() if part in name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
