"""One optimiser step, and what it works on: adapters and AdamW."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unblind.vla import lora
from unblind.vla.prismatic import Prismatic

if TYPE_CHECKING:
    from accelerate import Accelerator
    from peft import PeftModel


def adapt(
    model: Prismatic,
    *,
    vision: bool,
    seed: int,
    rank: int,
    alpha: int,
    recipe: str,
    precision: torch.dtype,
    checkpointing: bool,
) -> "PeftModel":
    """Put fresh adapters on a checkpoint's model, in the precision of the recipe.

    PEFT makes adapters of a bfloat16 model float32 (ours); its version in the release did not.

    Args:
        model: is changed in place.
        vision: whether the towers get adapters.
        seed: of their start.
        rank: of the adapters.
        alpha: their output is scaled by alpha / rank.
        recipe: ``corrected`` (float32 adapters) or ``released`` (bfloat16).
        precision: of the arithmetic.
        checkpointing: compute activations twice to save memory.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = lora.add_lora(model, vision=vision, seed=seed, rank=rank, alpha=alpha)
    if recipe == "released":
        for weight in wrapped.parameters():
            if weight.requires_grad:
                weight.data = weight.data.to(torch.bfloat16)
    if precision == torch.bfloat16:
        for module in wrapped.modules():
            if isinstance(module, BaseTunerLayer):
                module.cast_input_dtype_enabled = False  # autocast does it, in one step less
    if checkpointing:
        model.language_model.model.gradient_checkpointing_enable({"use_reentrant": False})
        for tower in model.vision_backbone.children():
            tower.set_grad_checkpointing(True)
    return wrapped


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    *,
    rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    device: torch.device,
) -> torch.optim.AdamW:
    """Return AdamW in the precision of the parameters; it makes no copy of them."""
    return torch.optim.AdamW(
        parameters, lr=rate, betas=betas, weight_decay=weight_decay, fused=device.type == "cuda"
    )


def step(
    team: "Accelerator",
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    arguments: Sequence[Any],
    rate: float,
    clip: float,
) -> dict[str, Tensor]:
    """Change the weights once; return the numbers of the log.

    Args:
        team: the processes.
        module: a prepared `learner.Learner`.
        optimizer: of its weights.
        arguments: of the module, for this process's part of the batch.
        rate: learning rate.
        clip: largest norm of the gradient; infinite: no clipping.
    """
    loss, numbers = module(*arguments)
    team.backward(loss)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    # Clipping at infinity changes nothing but tells the norm.
    norm = nn.utils.clip_grad_norm_(weights, clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {**numbers, "gradient_norm": norm}
