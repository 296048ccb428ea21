"""Loading the models of a study for a look inside: the VLM, the base, and every trained run."""

from unblind.study import jobs
from unblind.study.jobs import Job
from unblind.study.stages import ADAPTER_FILES, VLM_FILE
from unblind.vla import checkpoint, loading, policy
from unblind.vla.checkpoint import Checkpoint


def load(job: Job) -> Checkpoint:
    """Return the model that a job reads: the base, with other weights, or with an adapter.

    Args:
        job: its stage reads the base and, each where the run has it, the VLM's weights and an
            adapter (as the stage ``answers`` does).

    Raises:
        UnblindError: a file is missing or damaged, or the adapter is another base's.
    """
    import torch

    base = checkpoint.load(jobs.base_folder(job.config))
    by_name = {path.name: path for path in job.inputs}
    if VLM_FILE in by_name:
        loading.load_weights(base.model, [by_name[VLM_FILE]], "cpu", torch.float32)
    adapter = by_name.get(ADAPTER_FILES[0])
    return policy.load(base, adapter.parent if adapter else None).loaded
