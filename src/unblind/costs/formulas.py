"""What each stage is expected to take: units of work, times what one unit takes.

CPU-seconds of a unit are measured (`unblind.study.stages`). At paper scale models run on a
GPU, of which nothing is measured here: its seconds are operations / (peak x utilisation).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from unblind.config import Config, Run, Schedule
from unblind.costs.measured import line_of
from unblind.errors import UnblindError
from unblind.sim.conditions import CONDITIONS, OBJECTS, PLATES, Space
from unblind.study import record_names
from unblind.study.rows import scope
from unblind.study.rows.names import KNOCKOUTS, THINK_DOMAINS
from unblind.study.stages import EPISODE_CPU_S, STAGES, START_CPU_S

#: Labelled frames of a demonstration, as a mean over mini's.
FRAMES = 31
#: CPU-seconds until a process has imported the model's libraries and read it.
MODEL_CPU_S = 7.0
#: Conditions of frames with masks, and frames of an episode (`unblind.diagnosis.drawing`).
_FRAME_CONDITIONS, _FRAMES_OF_EPISODE = 5, 4


@dataclass(frozen=True)
class Constant:
    """A number that the formulas of paper scale take, and where it is from."""

    name: str
    value: float
    meaning: str
    source: str


_ASSUMED = "assumed, not measured; hours are inversely proportional to it"
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
    Constant("calls", 64, "pictures in a call of the policy", "released, buffer_inferbatch"),
    Constant("D_pixel", 1.43, "bytes of a stored pixel", "measured: 12,808 frames take 224.5 MB"),
    Constant("D_record", 9_000, "bytes of a file of records, its sidecar included", "measured"),
    Constant("D_episode", 100, "bytes of an episode's record", "measured"),
)
_C = {constant.name: constant.value for constant in CONSTANTS}

#: How the numbers of paper scale come about; names are those of `CONSTANTS`.
FORMULAS = (
    "GPU-hours = operations / (peak x u) / 3,600.",
    "Operations of a policy call = 2 x (P_towers x T_image + P_rest x T); all steps of an episode "
    "are run.",
    "Operations of a trained picture = (f x P_towers + t x P_teacher) x T_image + (4 x P_rest + "
    "6 x P_lora) x T: frozen weights have no gradient of their own. f = 4, but 2 in Freeze; t = 2 "
    "in Align, 0 elsewhere.",
    "GPU memory of training = 2 x (P_towers + P_rest) bytes + batch x M_picture, for Align and "
    "2 x P_teacher + 4 x P_align; of rollouts = 2 x (P_towers + P_rest) + calls x T x D_token.",
    "CPU-hours = units x CPU-seconds of a unit as measured at 128 x 96 px: a lower bound, for "
    "640 x 480 px cost more to draw.",
    "Disk = frames x pixels x D_pixel (demonstrations), 2 x parameters (base), 2 x P_lora an "
    "adapter kept, conditions x D_record + episodes x D_episode (rollouts).",
)
_PARAMETERS = _C["P_towers"] + _C["P_rest"]
_CALL_OPERATIONS = 2 * (_C["P_towers"] * _C["T_image"] + _C["P_rest"] * _C["T"])


@dataclass(frozen=True)
class Need:
    """What a stage, or one of its jobs, is expected to need; None: nothing, or not known.

    Attributes:
        stage: its name (`measured.line_of`).
        amount: what is done, in numbers.
        cpu_s: CPU-seconds.
        gpu_s: seconds of one GPU.
        gpu_bytes: memory of a GPU.
        disk: bytes that stay (paper scale alone).
    """

    stage: str
    amount: str
    cpu_s: float | None = None
    gpu_s: float | None = None
    gpu_bytes: float | None = None
    disk: float | None = None

    def times(self, jobs: int) -> "Need":
        """Return what so many jobs of this kind need; a GPU's memory is that of one."""
        if jobs == 1:
            return self
        sums = {key: getattr(self, key) for key in ("cpu_s", "gpu_s", "disk")}
        scaled = {key: value * jobs for key, value in sums.items() if value is not None}
        return replace(self, amount=f"{jobs} jobs of {self.amount}", **scaled)


def total(needs: Iterable[Need]) -> Need:
    """Return the sum of needs; the memory is that of the largest."""
    listed = list(needs)

    def over(key: str, function: Callable[[list[float]], float] = sum) -> float | None:
        known = [getattr(need, key) for need in listed if getattr(need, key) is not None]
        return function(known) if known else None

    sums = {key: over(key) for key in ("cpu_s", "gpu_s", "disk")}
    return Need("together", "", gpu_bytes=over("gpu_bytes", max), **sums)


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


def needs(config: Config) -> dict[str, Need]:
    """Return what one job of every stage needs, for all runs and any origin of the base."""
    listed = [*_data(config), *_base(config)]
    for name, run in config.runs.items():
        listed += [_training(config, name, run)] if run.method else []
        if run.policy not in ("vlm", "always_left"):
            evaluated = [condition.name for condition in CONDITIONS]
            listed.append(_rollouts(config, name, run, "rollout", _counts(config, evaluated)))
        others = [told.condition for told in record_names.told(config).values()]
        if run.policy == "vla" and others:
            listed.append(_rollouts(config, name, run, "arms", _counts(config, others)))
        if run.policy in ("vla", "oracle", "always_left"):
            listed.append(_rollouts(config, name, run, "think", _thought(config)))
        answers = config.base.source is None and run.policy in ("vla", "vlm")
        listed += [_answers(config, name, run), _collapse(config, name)] if answers else []
        listed += [_probe(config, "probe", name), _first_frames(config, name)] if answers else []
        if answers and run.policy == "vla":
            hidden = [config.knockout.episodes] * len(KNOCKOUTS)
            listed.append(_attention(config, name))
            listed.append(_rollouts(config, name, run, "knockout", hidden))
        if answers and run.method:
            listed += [_drift(config, name), _gradients(config, name)]
    listed += [_landscape(config)] if STAGES["landscape"].when(config) else []
    return {need.stage: need for need in listed}


def policy_calls(config: Config, conditions: int) -> int:
    """Return the policy calls of one model under so many conditions, all seeds together."""
    return conditions * len(config.seeds) * config.rollout.episodes * config.rollout.max_steps


def _start(config: Config) -> float:
    return config.rollout.workers * START_CPU_S


def _units(stage: str, count: int) -> float:
    """Return the CPU-seconds of so many units of a stage."""
    return count * STAGES[stage].unit_cpu_s


def _pictures(config: Config, stage: str, count: int) -> Need:
    cpu = _start(config) + _units(stage, count)
    return Need(line_of(stage, None), f"{count:,} pictures", cpu)


def _demos(config: Config, stage: str, episodes: int) -> Need:
    pixels = config.render.width * config.render.height
    return Need(
        line_of(stage, None),
        f"{episodes:,} episodes x {FRAMES} frames x {pixels:,} pixels",
        _start(config) + _units("demos", episodes),
        disk=episodes * FRAMES * pixels * _C["D_pixel"],
    )


def _data(config: Config) -> list[Need]:
    frames, replayed = config.demos.successes * FRAMES, 2 * config.replay.episodes
    held_out = len(Space().objects) * config.demos.held_out_per_object
    stored = frames * 3 * config.base.model.image_size**2
    amount = f"{frames:,} frames"
    asked = MODEL_CPU_S + _units("features_teacher", frames)
    teachers = scope.teachers(config).values()
    return [
        _demos(config, "demos", config.demos.successes + held_out),
        Need(
            "replay",
            f"{replayed:,} episodes, raw and tokenised",
            _start(config) + _units("replay", replayed),
        ),
        Need("features low", amount, MODEL_CPU_S + _units("features_low", frames)),
        *(Need(line_of("features_teacher", run), amount, asked) for run in teachers),
        *_contrastive(config),
        Need("pictures", amount, _units("pictures", frames), disk=stored),
        _pictures(config, "held_out", 2 * config.base.questions.held_out),
        _frames(config),
        _first_frames(config, None),
        _pictures(config, "probe_pictures", _probed(config)),
        *(_probe(config, "probe_teacher", run) for run in teachers),
        _probe(config, "probe_references", None),
    ]


def _contrastive(config: Config) -> list[Need]:
    """Return what the teacher that is trained here needs, features of its frozen blocks included.

    These are a larger network's than the student's, of which the unit is: twice as dear.
    """
    own = config.contrastive
    trained = _cpu_training("contrastive", [own.schedule], "contrastive")
    low = 2 * _units("features_low", own.images)
    return [
        _pictures(config, "contrastive_pictures", own.images),
        replace(trained, cpu_s=trained.cpu_s + low),
    ]


def _base(config: Config) -> list[Need]:
    """Return the stages that make the base from nothing, or from the published weights."""
    base, few = config.base, config.base.warm_up_episodes
    demos = _demos(config, "warm_up_demos", few)
    if is_large(config):
        fetched = Need("fetch", f"{_PARAMETERS:,} parameters", disk=2 * _PARAMETERS)
        tuned = _gpu_training("warm up", base.warm_up, "default")
        return [fetched, demos, replace(tuned, disk=2 * _PARAMETERS)]
    questions = base.questions.images + 2 * base.questions.held_out
    beside = _units("features_low", few * FRAMES)  # of the warm-up's pictures
    tuned = _cpu_training("warm up", [base.warm_up], "training")
    towers = _cpu_training("tower", [base.tower], "tower")
    robot = _cpu_training("robot", base.robot, "robot")
    looks = base.demos.successes * FRAMES * (1 + base.jittered_copies)
    return [
        Need("fetch", "a twin"),
        _pictures(config, "questions", questions),
        _demos(config, "pretraining_demos", base.demos.successes),
        replace(towers, cpu_s=towers.cpu_s + _units("features_low", base.questions.images)),
        _cpu_training("vlm", [base.vlm], "vlm"),
        replace(robot, cpu_s=robot.cpu_s + _units("features_low", looks)),
        demos,
        replace(tuned, cpu_s=tuned.cpu_s + beside),
    ]


def _cpu_training(name: str, schedules: Iterable[Schedule], stage: str) -> Need:
    pictures = sum(schedule.steps * schedule.batch for schedule in schedules)
    return Need(name, f"{pictures:,} pictures", MODEL_CPU_S + _units(stage, pictures))


def _gpu_training(stage: str, schedule: Schedule, method: str) -> Need:
    aligned, factor = method == "align", 2 if method == "freeze" else 4
    towers = factor * _C["P_towers"] + aligned * 2 * _C["P_teacher"]
    operations = towers * _C["T_image"] + (4 * _C["P_rest"] + 6 * _C["P_lora"]) * _C["T"]
    memory = 2 * _PARAMETERS + schedule.batch * _C["M_picture"]
    return Need(
        stage,
        f"{schedule.steps:,} steps x {schedule.batch} pictures",
        gpu_s=schedule.steps * schedule.batch * operations / (_C["peak"] * _C["u_train"]),
        gpu_bytes=memory + aligned * (2 * _C["P_teacher"] + 4 * _C["P_align"]),
    )


def _training(config: Config, name: str, run: Run) -> Need:
    stage, schedule = line_of("training", name), config.of(name).training.schedule
    if not is_large(config):
        return _cpu_training(stage, [schedule], "training")
    kept = (config.training.snapshots + 1) * 2 * _C["P_lora"]
    kept += (run.method == "align") * 4 * _C["P_align"]
    return replace(_gpu_training(stage, schedule, run.method or "default"), disk=kept)


def _counts(config: Config, names: Iterable[str]) -> list[int]:
    """Return the episodes of each of these conditions for one run and seed."""
    return [config.rollout.count(name) for name in names]


def _thought(config: Config) -> list[int]:
    """Return the episodes of each domain of VL-Think for one run and seed."""
    asked = config.think
    variants = len(asked.styles) * (1 + asked.swap) * (1 + asked.in_hand)
    return [asked.questions * variants] * len(THINK_DOMAINS)


def _rollouts(config: Config, name: str, run: Run, stage: str, counts: list[int]) -> Need:
    """Return what a run's records of so many episodes each need."""
    episodes = sum(counts)
    neural, large = run.policy == "vla", is_large(config)
    calls = episodes * config.rollout.max_steps
    # The simulator alone is what an idle policy costs; units are episodes of 80 steps.
    unit = EPISODE_CPU_S["noop" if neural and large else run.policy] * config.rollout.max_steps / 80
    need = Need(
        line_of(stage, name),
        f"{calls:,} policy calls" if neural else f"{episodes:,} episodes",
        _start(config) + neural * MODEL_CPU_S + episodes * unit,
        disk=len(counts) * _C["D_record"] + episodes * _C["D_episode"],
    )
    if not (neural and large):
        return need
    memory = 2 * _PARAMETERS + _C["calls"] * _C["T"] * _C["D_token"]
    seconds = calls * _CALL_OPERATIONS / (_C["peak"] * _C["u_roll"])
    return replace(need, gpu_s=seconds, gpu_bytes=memory)


def _answers(config: Config, name: str, run: Run) -> Need:
    """Return what a run's answers need; a model that no run has trained is also asked blindly."""
    pictures = 2 * config.answers.pictures * (1 if run.method else 2)
    cpu = MODEL_CPU_S + _units("answers", pictures)
    return Need(line_of("answers", name), f"{pictures:,} pictures", cpu)


def _drift(config: Config, name: str) -> Need:
    """Return what following a run takes: pictures are compared and asked about at each snapshot."""
    models, asked = config.of(name).training.snapshots + 2, config.drift
    looks = models * 2 * (asked.pictures + asked.answered)
    cpu = MODEL_CPU_S + _units("drift", looks)
    return Need(line_of("drift", name), f"{models} models x {looks // models:,} pictures", cpu)


def _gradients(config: Config, name: str) -> Need:
    """Return what differentiating both losses of a run takes."""
    frames = config.gradients.batches * config.gradients.frames
    cpu = MODEL_CPU_S + _units("gradients", frames)
    return Need(line_of("gradients", name), f"{frames:,} frames", cpu)


def _landscape(config: Config) -> Need:
    """Return what the landscape takes: frames and pictures at each point of grid and lines."""
    asked = config.landscape
    grid = asked.grid**2 * (asked.frames + asked.pictures)
    lines = 3 * (asked.edge + 2) * (asked.edge_frames + asked.edge_pictures)
    cpu = MODEL_CPU_S + _units("landscape", grid + lines)
    return Need(line_of("landscape", None), f"{grid + lines:,} frames and pictures", cpu)


def _first_frames(config: Config, run: str | None) -> Need:
    """Return what VL-Think's first frames need, or a run's answers about each and a grey one."""
    frames = len(THINK_DOMAINS) * config.think.frames * len(config.think.styles)
    if run is None:
        cpu = START_CPU_S + _units("think_frames", frames)
        return Need(line_of("think_frames", None), f"{frames:,} frames", cpu)
    cpu = MODEL_CPU_S + _units("think_answers", 2 * frames)
    return Need(line_of("think_answers", run), f"{2 * frames:,} pictures", cpu)


def _frames(config: Config) -> Need:
    """Return what frames with masks need; of a class one picture an episode, without a planner."""
    classes = len(config.collapse.classes) * config.frames.class_episodes
    episodes = _FRAME_CONDITIONS * config.frames.episodes
    cpu = START_CPU_S + _units("frames", episodes + classes // 4)
    return Need(line_of("frames", None), f"{episodes:,} episodes and {classes:,} pictures", cpu)


def _attention(config: Config, name: str) -> Need:
    frames = _FRAME_CONDITIONS * _FRAMES_OF_EPISODE * config.frames.episodes
    cpu = MODEL_CPU_S + _units("attention", frames)
    return Need(line_of("attention", name), f"{frames:,} frames", cpu)


def _collapse(config: Config, name: str) -> Need:
    pictures = len(config.collapse.classes) * config.frames.class_episodes
    cpu = MODEL_CPU_S + _units("collapse", len(config.collapse.layers))
    return Need(line_of("collapse", name), f"{pictures:,} pictures", cpu)


def _probed(config: Config) -> int:
    """Return how many pictures a model is probed with: Icon-100 has 100 concepts in 6 styles."""
    probe, things = config.probe, len(OBJECTS) + len(PLATES)
    portraits, stills = probe.portraits + probe.portraits_test, probe.stills + probe.stills_test
    return 100 * 6 * probe.icons + things * portraits + len(OBJECTS) * stills


def _probe(config: Config, stage: str, run: str | None) -> Need:
    """Return what probing a model, a teacher or the two references needs.

    A model is also shown the first frames of VL-Think, but for one domain.
    """
    pictures = _probed(config)
    if stage == "probe":
        pictures += (len(THINK_DOMAINS) - 1) * config.think.frames * len(config.think.styles)
    cpu = MODEL_CPU_S + _units(stage, pictures)
    return Need(line_of(stage, run), f"{pictures:,} pictures", cpu)


def hours(seconds: float | None) -> str:
    """Return seconds in hours with three significant digits at least; '-' for None."""
    if seconds is None:
        return "-"
    number = seconds / 3600
    return f"{number:,.0f}" if number >= 100 else f"{number:.{1 if number >= 10 else 3}f}"


def size(count: float | None) -> str:
    """Return bytes in decimal units; '-' for None."""
    if count is None:
        return "-"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
