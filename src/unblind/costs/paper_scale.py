"""Formulas of the published sizes: operations, seconds and memory of a GPU.

Models of these sizes run on a GPU, of which nothing is measured here: its seconds are
operations / (peak x utilisation).
"""

from dataclasses import dataclass, replace

from unblind.config import Config, Schedule
from unblind.costs.need import Need
from unblind.errors import UnblindError


@dataclass(frozen=True)
class Constant:
    """A number that the formulas of paper scale take, and where it is from."""

    name: str
    value: float
    meaning: str
    source: str


_ASSUMED = "assumed, not measured; hours are inversely proportional to it"
_BANDWIDTH = "assumed, not measured; latency is left out"
_ALIGN = "released finetune_align.py, counted"
CONSTANTS = (
    Constant("P_towers", 730_911_680, "parameters of DINOv2 and SigLIP", "timm, counted"),
    Constant("P_rest", 6_810_325_504, "parameters of projector and decoder", "OpenVLA-7B, counted"),
    Constant("P_teacher", 320e6, "parameters of C-RADIOv3-L", "its model card, ViT-L"),
    Constant("P_lora", 110_828_288, "weights of the adapters, rank 32", _ALIGN),
    Constant("P_align", 14_693_376, "weights of the alignment projector", _ALIGN),
    Constant("T_image", 256, "visual tokens", "224 px in patches of 14"),
    Constant("T", 288, "tokens: BOS, 256 visual, 24 of the prompt, 7 of the action", "24: assumed"),
    Constant("D_token", 524_288, "bytes of keys and values a token", "32 layers x 4096 x 2 x 2"),
    Constant("peak", 312e12, "operations a second of a GPU", "NVIDIA A100 data sheet, bfloat16"),
    Constant("u_train", 0.35, "share of the peak reached in training", _ASSUMED),
    Constant("u_roll", 0.25, "share of the peak reached in rollouts", _ASSUMED),
    Constant(
        "M_picture",
        (80e9 - 48e9) / (24 - 12),
        "bytes of GPU memory for a picture of a training batch",
        "released finetune.py: 48 GB hold a batch of 12, 80 GB one of 24",
    ),
    Constant(
        "D_adapter",
        16,
        "bytes of an adapter's weight in training: it, its gradient, AdamW's two moments",
        "float32, counted; 8 in the released recipe, with which the remark above holds to 1 %",
    ),
    Constant(
        "D_inputs",
        2 * (32 * 4096 * 288 + 24 * 1024 * 261 + 27 * 1152 * 256),
        "bytes of the inputs of all blocks, of one picture: what checkpointing keeps",
        "OpenVLA-7B and timm, counted; DINOv2 has 5 tokens more",
    ),
    Constant(
        "D_logits",
        2 * 4 * 288 * 32_064,
        "bytes of a picture's logits and their gradient",
        "float32",
    ),
    Constant("B_nvlink", 200e9, "bytes a second between GPUs over NVLink", _BANDWIDTH),
    Constant("B_pcie", 20e9, "bytes a second between GPUs over PCIe 4.0, 16 lanes", _BANDWIDTH),
    Constant("B_ethernet", 1.25e9, "bytes a second between nodes, 10 Gb/s", _BANDWIDTH),
    Constant("calls", 64, "pictures in a call of the policy", "released, buffer_inferbatch"),
    Constant(
        "T_question",
        64,
        "tokens of a question to a model that only answers, and of its answer",
        "guessed; no such model was run here",
    ),
    Constant("D_pixel", 1.43, "bytes of a stored pixel", "measured: 12,808 frames take 224.5 MB"),
    Constant("D_record", 9_000, "bytes of a file of records, its sidecar included", "measured"),
    Constant("D_episode", 100, "bytes of an episode's record", "measured"),
)
#: The same by name.
VALUES = {constant.name: constant.value for constant in CONSTANTS}

#: How the numbers of paper scale come about; names are those of `CONSTANTS`.
FORMULAS = (
    "GPU-hours = operations / (peak x u) / 3,600.",
    "Operations of a policy call = 2 x (P_towers x T_image + P_rest x T); all steps of an episode "
    "are run.",
    "Operations of a trained picture = (f x P_towers + t x P_teacher) x T_image + (4 x P_rest + "
    "6 x P_lora) x T: frozen weights have no gradient of their own. f = 4, but 2 in Freeze; t = 2 "
    "in Align, 0 elsewhere.",
    "GPU memory of training = 2 x (P_towers + P_rest) bytes + D_adapter x P_lora + batch x "
    "M_picture, for Align and 2 x P_teacher + 4 x P_align; with gradient checkpointing a picture "
    "takes D_inputs + D_logits + M_picture / 32, one block being whole at a time; of rollouts = "
    "2 x (P_towers + P_rest) + calls x T x D_token.",
    "All-reduce of a step with n GPUs = 4 x P_lora bytes of gradients x 2 (n - 1) / n / B seconds "
    "in a ring.",
    "Operations of a question to a model that only answers = 2 x its weights x (its visual tokens "
    "+ T_question); its GPU memory = 2 bytes a weight and a fifth more. Guesses.",
    "CPU-hours = units x CPU-seconds of a unit as measured at 128 x 96 px: a lower bound, for "
    "640 x 480 px cost more to draw.",
    "Disk = frames x pixels x D_pixel (demonstrations), 2 x parameters (base), 2 x P_lora an "
    "adapter kept, conditions x D_record + episodes x D_episode (rollouts).",
)
#: Of the published model, without adapters.
PARAMETERS = VALUES["P_towers"] + VALUES["P_rest"]
#: Operations of one call of the policy.
CALL_OPERATIONS = 2 * (VALUES["P_towers"] * VALUES["T_image"] + VALUES["P_rest"] * VALUES["T"])


def is_large(config: Config) -> bool:
    """Tell whether models have the published sizes, so that they need a GPU."""
    return config.scale == "paper"


def require_large(config: Config) -> None:
    """Check that a configuration is one of the published sizes.

    Raises:
        UnblindError: it is not.
    """
    if not is_large(config):
        raise UnblindError(
            f"no cost formula for the sizes of scale '{config.scale}'",
            "give a configuration of scale 'paper'",
        )


def policy_calls(config: Config, conditions: int) -> int:
    """Return the policy calls of one model under so many conditions, all seeds together."""
    return conditions * len(config.seeds) * config.rollout.episodes * config.rollout.max_steps


def training(stage: str, schedule: Schedule, method: str) -> Need:
    """Return what a training of the published model needs of a GPU.

    Args:
        stage: name of the line (`measured.line_of`).
        schedule: its steps, and pictures in each.
        method: 'default', 'freeze' or 'align'.
    """
    pictures = schedule.steps * schedule.batch
    operations = pictures * trained_picture(method)
    return Need(
        stage,
        f"{schedule.steps:,} steps x {schedule.batch} pictures",
        gpu_s=operations / (VALUES["peak"] * VALUES["u_train"]),
        gpu_bytes=fixed_memory(method) + schedule.batch * picture_memory(),
    )


def trained_picture(method: str) -> float:
    """Return the operations of one picture in a step of training."""
    aligned, factor = method == "align", 2 if method == "freeze" else 4
    towers = factor * VALUES["P_towers"] + aligned * 2 * VALUES["P_teacher"]
    decoder = 4 * VALUES["P_rest"] + 6 * VALUES["P_lora"]
    return towers * VALUES["T_image"] + decoder * VALUES["T"]


def fixed_memory(method: str, weight: float = 2) -> float:
    """Return the bytes of GPU memory that a training takes whatever its batch.

    Args:
        method: 'default', 'freeze' or 'align'.
        weight: bytes of a frozen weight of the base.
    """
    aligned = method == "align"
    teacher = aligned * (2 * VALUES["P_teacher"] + 4 * VALUES["P_align"])
    return weight * PARAMETERS + VALUES["D_adapter"] * VALUES["P_lora"] + teacher


def picture_memory(checkpointing: bool = False) -> float:
    """Return the bytes of GPU memory that a picture of a training batch takes."""
    whole = VALUES["M_picture"]
    return VALUES["D_inputs"] + VALUES["D_logits"] + whole / 32 if checkpointing else whole


def rollouts(need: Need, calls: int) -> Need:
    """Return what rollouts need with so many calls of the published policy on a GPU."""
    memory = 2 * PARAMETERS + VALUES["calls"] * VALUES["T"] * VALUES["D_token"]
    seconds = calls * CALL_OPERATIONS / (VALUES["peak"] * VALUES["u_roll"])
    return replace(need, gpu_s=seconds, gpu_bytes=memory)
