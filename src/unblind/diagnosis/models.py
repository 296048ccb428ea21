"""Loading the models of a study for a look inside: the VLM, the base, and every trained run."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from unblind import weights
from unblind.errors import UnblindError
from unblind.study import jobs
from unblind.study.jobs import Job
from unblind.study.rows.names import ADAPTER_FILES, VLM_FILE
from unblind.vla import checkpoint, loading, lora, policy
from unblind.vla.checkpoint import Checkpoint


def load(job: Job, snapshot: Path | None = None) -> Checkpoint:
    """Return the model that a job reads: the base, with other weights, or with an adapter.

    Args:
        job: its stage reads the base and, each where the run has it, the VLM's weights and an
            adapter (as the stage ``answers`` does).
        snapshot: weights of the adapter at an earlier step (`snapshots`); None: the final ones.

    Raises:
        UnblindError: a file is missing or damaged, or the adapter is another base's.
    """
    import torch

    base = checkpoint.load(jobs.base_folder(job.config))
    by_name = {path.name: path for path in job.inputs}
    if VLM_FILE in by_name:
        loading.load_weights(base.model, [by_name[VLM_FILE]], "cpu", torch.float32)
    adapter = by_name.get(ADAPTER_FILES[0])
    if snapshot is None or adapter is None:
        return policy.load(base, adapter.parent if adapter else None).loaded
    return _earlier(base, adapter, snapshot)


def snapshots(job: Job) -> dict[int, Path]:
    """Return the adapters that a run's training has kept on its way, by steps done, ascending.

    They are not published, so that of a pulled run there are none.

    Args:
        job: of a trained run; its stage reads the adapter.
    """
    folder = jobs.run_folder(job.config, job.run, job.seed_of_run) / "snapshots"
    listed = sorted(path for path in folder.glob("*.safetensors") if path.stem.isdecimal())
    found = {int(path.stem): path for path in listed}
    wanted = job.config.training.snapshots
    if len(found) < wanted:
        print(
            f"note: {folder} holds {len(found)} of {wanted} snapshots; what lies between is "
            f"left out (to have it, delete the adapter and run: unblind train --run {job.run})",
            file=sys.stderr,
        )
    return found


def on_the_way(job: Job, snapshots: Mapping[int, Path]) -> dict[int, Callable[[], Checkpoint]]:
    """Return what loads a run's model by steps done: the base first, the finished run last.

    Args:
        job: of a trained run; its stage reads base and adapter.
        snapshots: those of `snapshots`.
    """
    between = {step: partial(load, job, path) for step, path in snapshots.items()}
    base = partial(checkpoint.load, jobs.base_folder(job.config))
    return {0: base, **between, job.config.training.schedule.steps: partial(load, job)}


def _earlier(base: Checkpoint, adapter: Path, snapshot: Path) -> Checkpoint:
    """Return the base with an adapter's weights of an earlier step.

    Raises:
        UnblindError: they are damaged, or not of this adapter's shapes.
    """
    from peft import set_peft_model_state_dict

    if weights.shapes([snapshot]) != weights.shapes([adapter]):
        raise UnblindError(
            f"{snapshot} is no snapshot of the training that made {adapter}",
            "delete it, or train the run again",
        )
    wrapped = lora.load_adapter(base.model, adapter.parent, base.identity)
    set_peft_model_state_dict(wrapped, dict(weights.tensors([snapshot])))
    return replace(base, model=lora.merge(wrapped).eval())
