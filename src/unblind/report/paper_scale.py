"""What the study costs at the published sizes: a formula with every constant in one place.

Nothing here is measured on such a machine. Operations follow from parameters and tokens; hours
follow from operations and an assumed utilisation, which the page prints beside them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unblind.config import Config, Model, Run, Schedule
from unblind.errors import UnblindError
from unblind.report import costs, measured
from unblind.report.costs import FRAMES, TRAINING_OBJECTS, questions_cpu_s
from unblind.report.paper_constants import VALUES as _C
from unblind.sim.conditions import CONDITIONS
from unblind.study.stages import EPISODE_CPU_S, STAGES

_TOWERS = {"dinov2": _C["P_dinov2"], "siglip": _C["P_siglip"]}
#: Widths of the towers' tokens: DINOv2 ViT-L, SigLIP So400m.
_TOWER_WIDTHS = {"dinov2": 1024, "siglip": 1152}


@dataclass(frozen=True)
class Need:
    """What a stage, or one of its jobs, needs; None: nothing, or nothing worth telling.

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

    @property
    def seconds(self) -> float:
        """Seconds on one GPU or one CPU, whichever is more; 0 if neither is told."""
        return max(self.gpu_s or 0.0, self.cpu_s or 0.0)

    def times(self, jobs: int) -> "Need":
        """Return what so many jobs of this kind need; a GPU's memory is that of one."""
        if jobs == 1:
            return self
        values = {key: getattr(self, key) for key in ("gpu_s", "cpu_s", "disk")}
        scaled = {key: value * jobs for key, value in values.items() if value is not None}
        return replace(self, amount=f"{jobs} jobs of {self.amount}", **scaled)


def together(needs: Iterable[Need], name: str = "together") -> Need:
    """Return the sum of needs; the memory is that of the largest."""
    found = list(needs)
    keys = ("gpu_s", "cpu_s", "disk")
    sums = {key: _reduce(sum, (getattr(one, key) for one in found)) for key in keys}
    return Need(name, "", gpu_bytes=_reduce(max, (one.gpu_bytes for one in found)), **sums)


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


def decoder_parameters(model: Model, vocabulary: int) -> int:
    """Return the parameters of a Llama decoder with a separate output head."""
    width, inner = model.hidden_size, model.intermediate_size
    block = 4 * width**2 + 3 * width * inner + 2 * width
    return model.layers * block + 2 * vocabulary * width + width


def projector_parameters(model: Model, joined: int) -> int:
    """Return the parameters of the projector: two layers, three behind two towers.

    Args:
        model: sizes.
        joined: width of a token of all towers.
    """
    hidden, width = model.projector_width, model.hidden_size
    third = (width + 1) * width if len(model.towers) > 1 else 0
    return (joined + 1) * hidden + (hidden + 1) * width + third


def decoder_adapters(model: Model, vocabulary: int, rank: int) -> int:
    """Return the weights of adapters on all linear layers of the decoder, its head included."""
    width, inner = model.hidden_size, model.intermediate_size
    block = 4 * (width + width) + 3 * (width + inner)
    return rank * (model.layers * block + width + vocabulary)


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
    joined = sum(_TOWER_WIDTHS[name] for name in model.towers)
    decoder = decoder_parameters(model, int(_C["vocabulary"]))
    image = (model.image_size // int(_C["patch"])) ** 2
    return Sizes(
        towers=sum(_TOWERS[name] for name in model.towers),
        rest=projector_parameters(model, joined) + decoder,
        image=image,
        sequence=1 + image + int(_C["T_text"]) + int(_C["T_action"]),
        cache=4 * model.layers * model.hidden_size,
    )


def jobs(paper: Config) -> dict[str, Need]:
    """Return what one job of every stage needs, for all runs, with or without a pulled base.

    Names are those of `measured.stages`. Tables and pages take seconds and are left out.

    Raises:
        UnblindError: the model is not of the published kind.
    """
    model = sizes(paper.base.model)
    found = [*_data(paper), *_features(paper, model), *_base(paper, model)]
    for name, run in paper.runs.items():
        found += [_training(paper, model, name, run)] if run.method else []
        found.append(_rollouts(paper, model, name, run))
    return {one.name: one for one in found}


def needs(paper: Config) -> list[Need]:
    """Return what every stage up to Table 1 needs, then their sum, then what is not in it.

    Raises:
        UnblindError: the model is not of the published kind.
    """
    each, model = jobs(paper), sizes(paper.base.model)
    found = [each[name].times(count) for name, count in _counts(paper, each).items()]
    # The published weights are warmed up already.
    warm_up = replace(each["base: warm-up"], name="warm-up of the base (not in the total)")
    beside = [] if paper.rebuild_base else [warm_up]
    return [*found, together(found), *beside, _vl_think(paper, model)]


def _counts(paper: Config, known: Iterable[str]) -> dict[str, int]:
    """Return how many jobs each stage up to Table 1 has."""
    names = [stage.name for stage in measured.stages(paper, Path(paper.results))]
    return {name: costs.jobs(paper, name) for name in names if name in known}


def _demos(name: str, paper: Config, episodes: int) -> Need:
    pixels = paper.render.width * paper.render.height
    return Need(
        name,
        f"{episodes:,} episodes x {FRAMES} frames x {pixels:,} pixels",
        cpu_s=episodes * STAGES["demos"].unit_cpu_s,
        disk=episodes * FRAMES * pixels * _C["D_pixel"],
    )


def _data(paper: Config) -> list[Need]:
    held_out, replays = TRAINING_OBJECTS * paper.demos.held_out_per_object, paper.replay.episodes
    return [
        _demos("demos", paper, paper.demos.successes + held_out),
        Need(
            "replay",
            f"{2 * replays:,} episodes, raw and tokenised",
            cpu_s=2 * replays * STAGES["replay"].unit_cpu_s,
        ),
    ]


def _features(paper: Config, model: Sizes) -> list[Need]:
    frames = paper.demos.successes * FRAMES
    teacher = 2 * _C["P_teacher"] * model.image
    return [
        Need(
            "features low",
            f"{frames:,} pictures as the towers see them",
            cpu_s=frames * STAGES["pictures"].unit_cpu_s,
            disk=frames * 2 * 3 * paper.base.model.image_size**2,
        ),
        Need(
            "features teacher",
            f"{frames:,} pictures",
            gpu_s=frames * _seconds(teacher, "u_roll"),
            gpu_bytes=2 * _C["P_teacher"],
            disk=frames * 2 * model.image * _C["W_teacher"],
        ),
    ]


def _base(paper: Config, model: Sizes) -> list[Need]:
    """The base is pulled, or made: the warm-up alone takes long, for the weights are published."""
    base, weights = paper.base, 2 * model.parameters
    pictures = base.questions.images + base.questions.held_out

    def trained(name: str, schedules: Sequence[Schedule]) -> Need:
        return Need(
            name,
            " + ".join(map(_steps, schedules)),
            gpu_s=sum(_training_s(one, model.trained_picture("default")) for one in schedules),
            gpu_bytes=max(_training_bytes(one, model) for one in schedules),
            disk=weights,
        )

    return [
        Need("base", f"{model.parameters:,} parameters", disk=weights),
        Need("base: fetch", f"{model.parameters:,} parameters", disk=weights),
        Need("base: questions", f"{pictures:,} pictures", cpu_s=questions_cpu_s(paper)),
        _demos("base: demos", paper, base.demos.successes),
        _demos("base: warm-up demos", paper, base.warm_up_episodes),
        trained("base: vlm", [base.vlm]),
        trained("base: robot", base.robot),
        trained("base: warm-up", [base.warm_up]),
    ]


def _training(paper: Config, model: Sizes, name: str, run: Run) -> Need:
    schedule, aligned = paper.training.schedule, run.method == "align"
    memory = _training_bytes(schedule, model)
    memory += (2 * _C["P_teacher"] + 4 * _C["P_align"]) if aligned else 0
    return Need(
        f"training of {name}",
        _steps(schedule),
        gpu_s=_training_s(schedule, model.trained_picture(run.method or "default")),
        gpu_bytes=memory,
        disk=(paper.training.snapshots + 1) * 2 * _C["P_lora"] + aligned * 4 * _C["P_align"],
    )


def _rollouts(paper: Config, model: Sizes, name: str, run: Run) -> Need:
    episodes = sum(paper.rollout.count(c.name) for c in CONDITIONS)
    calls, neural = episodes * paper.rollout.max_steps, run.policy == "vla"
    # The simulator alone is what an idle policy costs.
    unit = EPISODE_CPU_S["noop" if neural else run.policy] * paper.rollout.max_steps / 80
    return Need(
        f"rollouts of {name}",
        f"{calls:,} policy calls" if neural else f"{episodes:,} episodes",
        gpu_s=_calls_s(calls, model) if neural else None,
        gpu_bytes=_rollout_bytes(model) if neural else None,
        cpu_s=episodes * unit,
        disk=record_bytes(len(CONDITIONS), episodes),
    )


def record_bytes(files: int, episodes: int) -> float:
    """Return the bytes of records with their sidecars."""
    return files * _C["D_record"] + episodes * _C["D_episode"]


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


def _seconds(operations: float, utilisation: str) -> float:
    return operations / (_C["peak"] * _C[utilisation])


def _training_s(schedule: Schedule, operations: float) -> float:
    return schedule.steps * schedule.batch * _seconds(operations, "u_train")


def _training_bytes(schedule: Schedule, model: Sizes) -> float:
    return 2 * model.parameters + schedule.batch * _C["M_picture"]


def _calls_s(calls: int, model: Sizes) -> float:
    return calls * _seconds(model.call(), "u_roll")


def _rollout_bytes(model: Sizes) -> float:
    return 2 * model.parameters + _C["calls at once"] * model.sequence * model.cache


def _reduce(
    function: Callable[[list[float]], float], values: Iterable[float | None]
) -> float | None:
    """Return a sum or the like of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return function(known) if known else None
