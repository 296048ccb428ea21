"""The numbers and formulas behind the costs at the published sizes, each with its source."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """A number that the formulas take, and where it is from."""

    name: str
    value: float
    meaning: str
    source: str


_ASSUMED = "assumed, not measured; hours are inversely proportional to it"
CONSTANTS = (
    Constant(
        "P_dinov2",
        303_230_976,
        "parameters of the DINOv2 tower",
        "timm, vit_large_patch14_reg4_dinov2 at 224 px",
    ),
    Constant(
        "P_siglip",
        427_680_704,
        "parameters of the SigLIP tower",
        "timm, vit_so400m_patch14_siglip_224",
    ),
    Constant("P_teacher", 320e6, "parameters of the teacher C-RADIOv3-L", "its model card, ViT-L"),
    Constant("W_teacher", 1024, "width of the teacher's tokens", "its model card, ViT-L"),
    Constant(
        "P_lora",
        110_828_288,
        "weights of the adapters",
        "released finetune_align.py: rank 32 on all linear layers, counted",
    ),
    Constant(
        "P_align",
        14_693_376,
        "weights of the alignment projector",
        "released finetune_align.py: 4096 to 2048 to 2048 to 1024, with a norm, counted",
    ),
    Constant("vocabulary", 32_064, "token ids of the decoder", "released OpenVLA-7B"),
    Constant("patch", 14, "pixels between visual tokens", "both towers"),
    Constant("T_text", 24, "tokens of the prompt, its start included", "assumed"),
    Constant("T_action", 7, "tokens of an action", "released action tokenizer"),
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
        "calls at once",
        64,
        "pictures in one call of the policy",
        "released evaluation command, buffer_inferbatch",
    ),
    Constant("VL-Think", 8, "domains of VL-Think", "Table 2"),
    Constant(
        "D_pixel",
        1.43,
        "bytes of a losslessly stored pixel",
        "measured: 12,808 frames of 128 x 96 px take 224.5 MB",
    ),
    Constant(
        "D_record",
        9_000,
        "bytes of a file of records with its sidecar, episodes apart",
        "measured: 14 files with 28 episodes take 0.13 MB",
    ),
    Constant(
        "D_episode",
        100,
        "bytes of an episode's record",
        "measured: 14 files with 224 episodes take 0.15 MB",
    ),
)
#: The same numbers by name.
VALUES = {constant.name: constant.value for constant in CONSTANTS}

#: How the table's numbers come about; names are those of `CONSTANTS` and of the model's parts.
FORMULAS = (
    "Parameters: P_towers = P_dinov2 + P_siglip; P_rest = projector and decoder, from their "
    "widths; P = P_towers + P_rest.",
    "Policy calls = conditions x seeds x episodes x steps (all steps of an episode are run).",
    "Operations of a call = 2 x (P_towers x T_image + P_rest x (1 + T_image + T_text + T_action)); "
    "the projector sees fewer tokens, which is not subtracted.",
    "Operations of a trained picture = (f x P_towers + t x P_teacher) x T_image + (4 x P_rest + "
    "6 x P_lora) x (1 + T_image + T_text + T_action): 2 forward and 2 for the gradient of the "
    "activations, frozen weights have none of their own; f = 4, but 2 in Freeze; t = 2 in Align, "
    "0 elsewhere. Stored features would spare Align the teacher: t = 2 is an upper bound.",
    "Operations of a teacher's picture = 2 x P_teacher x T_image.",
    "GPU-hours = operations / (peak x utilisation) / 3,600.",
    "GPU memory of training = 2 x P bytes + batch x M_picture; Align adds 2 x P_teacher and "
    "4 x P_align.",
    "GPU memory of rollouts = 2 x P bytes + calls at once x tokens x layers x width x 4 bytes "
    "(keys and values in 2 bytes each).",
    "CPU-hours = units of work x CPU-seconds of a unit as measured at 128 x 96 px: a lower bound, "
    "for 640 x 480 px cost more to draw.",
    "Disk of demonstrations = episodes x frames x pixels x D_pixel; of the base = 2 x P bytes; of "
    "features = frames x 2 bytes x 3 x side^2 (the pictures: nothing of the towers is frozen) or "
    "T_image x W_teacher (the teacher's tokens); of a training = adapters kept x P_lora x 2 bytes, "
    "for Align and 4 x P_align; of rollouts = conditions x D_record + episodes x D_episode.",
)
