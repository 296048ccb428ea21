"""What the study costs at the published sizes: a formula with every constant in one place.

Nothing here is measured on such a machine. Operations follow from parameters and tokens; hours
follow from operations and an assumed utilisation, which the page prints beside them.
"""

from dataclasses import dataclass, replace

from unblind.config import Config, Model, Run, Schedule
from unblind.errors import UnblindError
from unblind.progress import UNIT_CPU_S
from unblind.report.costs import FRAMES, TRAINING_OBJECTS
from unblind.report.measured import runs
from unblind.sim.conditions import CONDITIONS


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
        "D_episode",
        700,
        "bytes of an episode's record",
        "measured: 224 episodes take 0.15 MB with their sidecars",
    ),
)
_C = {constant.name: constant.value for constant in CONSTANTS}
_TOWERS = {"dinov2": _C["P_dinov2"], "siglip": _C["P_siglip"]}

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
    "0 elsewhere.",
    "GPU-hours = operations / (peak x utilisation) / 3,600.",
    "GPU memory of training = 2 x P bytes + batch x M_picture; Align adds 2 x P_teacher and "
    "4 x P_align.",
    "GPU memory of rollouts = 2 x P bytes + calls at once x tokens x layers x width x 4 bytes "
    "(keys and values in 2 bytes each).",
    "CPU-hours = units of work x CPU-seconds of a unit as measured at 128 x 96 px: a lower bound, "
    "for 640 x 480 px cost more to draw.",
    "Disk of demonstrations = episodes x frames x pixels x D_pixel; of the base = 2 x 2 x P bytes "
    "(published and warmed-up weights); of a training = adapters kept "
    "x P_lora x 2 bytes, for Align and 4 x P_align; of rollouts = episodes x D_episode.",
)


@dataclass(frozen=True)
class Need:
    """What a stage needs; None: nothing, or nothing worth telling.

    Attributes:
        name: the stage.
        amount: what is done, in numbers.
        gpu_s: seconds of one GPU.
        gpu_bytes: memory of a GPU.
        cpu_s: CPU-seconds, a lower bound.
        disk: bytes that stay.
    """

    name: str
    amount: str
    gpu_s: float | None = None
    gpu_bytes: float | None = None
    cpu_s: float | None = None
    disk: float | None = None


@dataclass(frozen=True)
class Sizes:
    """Parameters and tokens of the model.

    Attributes:
        towers, rest: parameters of the vision towers, and of projector and decoder.
        image, sequence: visual tokens; all tokens of a prompt with its action.
        cache: bytes of keys and values a token.
    """

    towers: float
    rest: float
    image: int
    sequence: int
    cache: int

    @property
    def parameters(self) -> float:
        """All parameters."""
        return self.towers + self.rest

    def call(self) -> float:
        """Operations of one policy call."""
        return 2 * (self.towers * self.image + self.rest * self.sequence)

    def trained_picture(self, method: str) -> float:
        """Operations of one picture in training."""
        towers = (2 if method == "freeze" else 4) * self.towers
        teacher = 2 * _C["P_teacher"] if method == "align" else 0.0
        return (towers + teacher) * self.image + (4 * self.rest + 6 * _C["P_lora"]) * self.sequence


def sizes(model: Model) -> Sizes:
    """Return parameters and tokens of a model.

    Raises:
        UnblindError: the size of a tower is unknown.
    """
    unknown = [name for name in model.towers if name not in _TOWERS]
    if unknown:
        raise UnblindError(
            f"no cost formula for the tower '{unknown[0]}'", "give a configuration of paper scale"
        )
    width, inner, hidden = model.hidden_size, model.intermediate_size, model.projector_width
    # Widths of the towers' tokens: DINOv2 ViT-L 1024, SigLIP So400m 1152.
    joined = sum({"dinov2": 1024, "siglip": 1152}[name] for name in model.towers)
    projector = (joined + 1) * hidden + (hidden + 1) * width + (width + 1) * width
    block = 4 * width**2 + 3 * width * inner + 2 * width
    decoder = model.layers * block + 2 * int(_C["vocabulary"]) * width + width
    image = (model.image_size // int(_C["patch"])) ** 2
    return Sizes(
        towers=sum(_TOWERS[name] for name in model.towers),
        rest=projector + decoder,
        image=image,
        sequence=1 + image + int(_C["T_text"]) + int(_C["T_action"]),
        cache=4 * model.layers * width,
    )


def needs(paper: Config) -> list[Need]:
    """Return what every stage needs with one configuration of the published sizes.

    Raises:
        UnblindError: the model is not of that kind.
    """
    model = sizes(paper.base.model)
    names = runs(paper)
    trained = [name for name in names if paper.runs[name].method]
    found = [*_data(paper), _base(paper, model)]
    found += [_training(paper, model, name, paper.runs[name]) for name in trained]
    found += [_rollouts(paper, model, name, paper.runs[name]) for name in names]
    total = Need("together", "")
    for one in found:
        total = replace(
            total,
            gpu_s=_add(total.gpu_s, one.gpu_s),
            cpu_s=_add(total.cpu_s, one.cpu_s),
            disk=_add(total.disk, one.disk),
        )
    return [*found, total, _vl_think(paper, model)]


def _data(paper: Config) -> list[Need]:
    episodes = paper.demos.successes + TRAINING_OBJECTS * paper.demos.held_out_per_object
    pixels = paper.render.width * paper.render.height
    replays = 2 * paper.replay.episodes
    return [
        Need(
            "demos",
            f"{episodes:,} episodes x {FRAMES} frames x {pixels:,} pixels",
            cpu_s=episodes * UNIT_CPU_S["demos"],
            disk=episodes * FRAMES * pixels * _C["D_pixel"],
        ),
        Need(
            "replay",
            f"{replays:,} episodes, raw and tokenised",
            cpu_s=replays * UNIT_CPU_S["replay"],
        ),
    ]


def _base(paper: Config, model: Sizes) -> Need:
    """The published weights are taken; only the warm-up is trained."""
    schedule = paper.base.warm_up
    return Need(
        "base (warm-up of the published weights)",
        _steps(schedule),
        gpu_s=_training_s(schedule, model.trained_picture("default")),
        gpu_bytes=2 * model.parameters + schedule.batch * _C["M_picture"],
        disk=2 * 2 * model.parameters,
    )


def _training(paper: Config, model: Sizes, name: str, run: Run) -> Need:
    schedule, aligned, seeds = paper.training.schedule, run.method == "align", len(paper.seeds)
    operations = model.trained_picture(run.method or "default")
    memory = 2 * model.parameters + schedule.batch * _C["M_picture"]
    memory += (2 * _C["P_teacher"] + 4 * _C["P_align"]) if aligned else 0
    each = (paper.training.snapshots + 1) * 2 * _C["P_lora"] + aligned * 4 * _C["P_align"]
    return Need(
        f"training of {name}",
        f"{seeds} seeds x {_steps(schedule)}",
        gpu_s=seeds * _training_s(schedule, operations),
        gpu_bytes=memory,
        disk=seeds * each,
    )


def _rollouts(paper: Config, model: Sizes, name: str, run: Run) -> Need:
    episodes = len(paper.seeds) * sum(paper.rollout.count(c.name) for c in CONDITIONS)
    calls, neural = episodes * paper.rollout.max_steps, run.policy == "vla"
    # The simulator alone is what an idle policy costs.
    unit = UNIT_CPU_S["noop" if neural else run.policy] * paper.rollout.max_steps / 80
    return Need(
        f"rollouts of {name}",
        f"{calls:,} policy calls" if neural else f"{episodes:,} episodes",
        gpu_s=_calls_s(calls, model) if neural else None,
        gpu_bytes=_rollout_bytes(model) if neural else None,
        cpu_s=episodes * unit,
        disk=episodes * _C["D_episode"],
    )


def _vl_think(paper: Config, model: Sizes) -> Need:
    calls = vl_think_calls(paper)
    return Need(
        "VL-Think of one model (not in the total)",
        f"{calls:,} policy calls",
        gpu_s=_calls_s(calls, model),
        gpu_bytes=_rollout_bytes(model),
    )


def ood_calls(paper: Config) -> int:
    """Return the policy calls of one model under the 13 OOD conditions of Table 1."""
    counts = (paper.rollout.count(c.name) for c in CONDITIONS if c.suite != "in-distribution")
    return sum(counts) * len(paper.seeds) * paper.rollout.max_steps


def vl_think_calls(paper: Config) -> int:
    """Return the policy calls of one model in the domains of VL-Think (Table 2)."""
    episodes = int(_C["VL-Think"]) * paper.rollout.episodes
    return episodes * len(paper.seeds) * paper.rollout.max_steps


def _steps(schedule: Schedule) -> str:
    return f"{schedule.steps:,} steps x {schedule.batch} pictures"


def _training_s(schedule: Schedule, operations: float) -> float:
    return schedule.steps * schedule.batch * operations / (_C["peak"] * _C["u_train"])


def _calls_s(calls: int, model: Sizes) -> float:
    return calls * model.call() / (_C["peak"] * _C["u_roll"])


def _rollout_bytes(model: Sizes) -> float:
    return 2 * model.parameters + _C["calls at once"] * model.sequence * model.cache


def _add(first: float | None, second: float | None) -> float | None:
    values = [value for value in (first, second) if value is not None]
    return sum(values) if values else None
