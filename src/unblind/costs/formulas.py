"""What each stage is expected to take: units of work, times what one unit takes.

CPU-seconds of a unit are measured (`unblind.study.stages`); what a GPU takes at paper scale follows
from `unblind.costs.paper_scale`.
"""

from collections.abc import Iterable
from dataclasses import replace

from unblind.answerers.families import FAMILIES
from unblind.config import Config, Run, Schedule
from unblind.costs import paper_scale
from unblind.costs.measured import line_of
from unblind.costs.need import Need
from unblind.costs.paper_scale import PARAMETERS, VALUES, is_large
from unblind.sim.conditions import CONDITIONS, OBJECTS, PLATES, Space
from unblind.study import record_names
from unblind.study.rows import scope
from unblind.study.rows.names import KNOCKOUTS, THINK_DOMAINS
from unblind.study.rows.scope import is_answerer
from unblind.study.stages import EPISODE_CPU_S, STAGES, START_CPU_S

#: Labelled frames of a demonstration, as a mean over mini's.
FRAMES = 31
#: CPU-seconds until a process has imported the model's libraries and read it.
MODEL_CPU_S = 7.0
#: CPU-seconds that an episode of a stage takes beyond one of a rollout.
_BEYOND_CPU_S = {"think": 0.9, "knockout": 2.6}
#: Conditions of frames with masks, and frames of an episode (`unblind.diagnosis.drawing`).
_FRAME_CONDITIONS, _FRAMES_OF_EPISODE = 5, 4
#: Questions about a first frame with three boards (`unblind.think.spoken`).
_QUESTIONS = 12


def needs(config: Config) -> dict[str, Need]:
    """Return what one job of every stage needs, for all runs and any origin of the base."""
    listed = [*_data(config), *_base(config)]
    for name, run in config.runs.items():
        own = config.of(name)
        listed += [_training(config, name, run)] if run.method else []
        if run.policy not in ("vlm", "answerer", "always_left"):
            evaluated = [condition.name for condition in CONDITIONS]
            listed.append(_rollouts(config, name, run, "rollout", _counts(own, evaluated)))
        others = [told.condition for told in record_names.arms(config).values()]
        if run.policy == "vla" and others:
            listed.append(_rollouts(config, name, run, "arms", _counts(own, others)))
        if run.policy in ("vla", "oracle", "always_left"):
            listed.append(_rollouts(config, name, run, "think", _thought(config)))
        answers = config.base.source is None and run.policy in ("vla", "vlm")
        listed += [_answers(config, name, run), _collapse(config, name)] if answers else []
        listed += [_probe(config, "probe", name), _first_frames(config, name)] if answers else []
        if answers and run.policy == "vla":
            hidden = [config.knockout.episodes] * len(KNOCKOUTS)
            listed.append(_attention(config, name))
            listed.append(_rollouts(config, name, run, "knockout", hidden))
        listed += _answerer(config, name) if is_answerer(run) else []
        if answers and run.method:
            listed += [_drift(config, name), _gradients(config, name)]
    listed += [_landscape(config)] if STAGES["landscape"].when(config) else []
    return {need.stage: need for need in listed}


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
        disk=episodes * FRAMES * pixels * VALUES["D_pixel"],
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
        fetched = Need("fetch", f"{PARAMETERS:,} parameters", disk=2 * PARAMETERS)
        tuned = paper_scale.training("warm up", base.warm_up, "default")
        return [fetched, demos, replace(tuned, disk=2 * PARAMETERS)]
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


def _training(config: Config, name: str, run: Run) -> Need:
    stage, schedule = line_of("training", name), config.of(name).training.schedule
    if not is_large(config):
        return _cpu_training(stage, [schedule], "training")
    kept = (config.training.snapshots + 1) * 2 * VALUES["P_lora"]
    kept += (run.method == "align") * 4 * VALUES["P_align"]
    return replace(paper_scale.training(stage, schedule, run.method or "default"), disk=kept)


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
    policy = "noop" if neural and large else run.policy
    unit = EPISODE_CPU_S[policy] + _BEYOND_CPU_S.get(stage, 0.0)
    unit *= config.rollout.max_steps / 80
    need = Need(
        line_of(stage, name),
        f"{calls:,} policy calls" if neural else f"{episodes:,} episodes",
        _start(config) + neural * MODEL_CPU_S + episodes * unit,
        disk=len(counts) * VALUES["D_record"] + episodes * VALUES["D_episode"],
    )
    return paper_scale.rollouts(need, calls) if neural and large else need


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


def _answerer(config: Config, name: str) -> list[Need]:
    """Return what fetching, asking and looking into a model of others needs: guesses."""
    about, frames = config.runs[name].answerer, len(THINK_DOMAINS) * config.think.frames
    family, parameters = FAMILIES[about.family], about.billions * 1e9
    attended = _FRAME_CONDITIONS * _FRAMES_OF_EPISODE * config.frames.episodes
    passes = {
        # Twelve questions at most, of the frame and of a grey one.
        "answerer_answers": 2 * _QUESTIONS * frames * len(config.think.styles),
        "answerer_attention": 2 * attended,
        "answerer_collapse": len(config.collapse.classes) * config.frames.class_episodes,
    }
    units = {
        "answerer_answers": frames * len(config.think.styles),
        "answerer_attention": attended,
        "answerer_collapse": len(config.collapse.layers),
    }
    fetched = Need(line_of("answerer", name), f"{about.billions} billion weights")
    listed = [replace(fetched, disk=2 * parameters if is_large(config) else None)]
    for stage, count in passes.items():
        cpu = MODEL_CPU_S + _units(stage, units[stage])
        need = Need(line_of(stage, name), f"{count:,} prompts", cpu)
        if is_large(config):
            # What is looked into sees the picture whole.
            whole = family.whole and stage != "answerer_answers"
            tokens = (VALUES["T_image"] if whole else family.tokens) + VALUES["T_question"]
            seconds = 2 * parameters * tokens * count / (VALUES["peak"] * VALUES["u_roll"])
            need = replace(need, cpu_s=MODEL_CPU_S, gpu_s=seconds, gpu_bytes=2.4 * parameters)
        listed.append(need)
    return listed


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
