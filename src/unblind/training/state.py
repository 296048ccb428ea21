"""The state of an interrupted training: weights and the optimiser's numbers, in one file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from unblind import weights
from unblind.errors import UnblindError

FILE = "checkpoint.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")


def save(
    path: Path,
    identity: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Write the state after ``step`` steps.

    Weights that no input reaches (OpenVLA leaves out each tower's last block) have no moments.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, weight in parameters.items():
        tensors[f"{name}|value"] = weight
        moments = optimizer.state.get(weight, {})
        tensors |= {f"{name}|{key}": moments[key] for key in _MOMENTS if key in moments}
    weights.save(path, tensors, {"step": str(step), "identity": identity})


def restore(
    path: Path,
    identity: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load the state if there is one; return the number of finished steps.

    Raises:
        UnblindError: it is unreadable or that of another training.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as stored:
            meta = stored.metadata()
            if meta["identity"] != identity:
                raise UnblindError(
                    f"{path} is the checkpoint of another training", f"delete {path.parent}"
                )
        tensors = dict(weights.tensors([path]))
        step = torch.tensor(float(meta["step"]))
        for name, weight in parameters.items():
            weight.data.copy_(tensors[f"{name}|value"])
            if f"{name}|{_MOMENTS[0]}" in tensors:
                optimizer.state[weight] = {
                    "step": step.to(weight.device, copy=True),
                    # The fused kernel goes through memory, so moments must lie as weights do.
                    **{k: torch.empty_like(weight).copy_(tensors[f"{name}|{k}"]) for k in _MOMENTS},
                }
        return int(meta["step"])
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise UnblindError(
            f"the checkpoint {path} is unreadable ({error})", f"delete {path} and start again"
        ) from None
