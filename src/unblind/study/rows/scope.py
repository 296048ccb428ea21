"""Which studies and runs a stage is for."""

from typing import Any

from unblind.answerers.families import FAMILIES
from unblind.study.stage import Runs
from unblind.teachers import registry


def is_published(config: Any) -> bool:
    """Tell whether methods start from a published checkpoint."""
    return config.base.source is not None


def is_own(config: Any) -> bool:
    """Tell whether methods start from a model of our own making."""
    return config.base.source is None


def has_own_model(config: Any) -> bool:
    """Tell whether a row of Table 1 is a model that starts from our own base."""
    rows = [config.runs[row] for row in config.table1.rows if row in config.runs]
    return is_own(config) and any(map(acts, rows))


def is_rebuilt(config: Any) -> bool:
    """Tell whether our own base is made here."""
    return is_own(config) and config.rebuild_base


def is_pulled(config: Any) -> bool:
    """Tell whether our own base is the published one."""
    return is_own(config) and not config.rebuild_base


def teachers(config: Any) -> dict[str, str | None]:
    """Return the teachers of a study, each with the run that has it for itself, if it is a run's.

    The study's own comes first; with no run that is aligned with it, it is one all the same.
    """
    found: dict[str, str | None] = {config.training.align.teacher: None}
    for run, about in config.runs.items():
        if is_aligned(about) and has_own_teacher(config, run):
            found.setdefault(config.of(run).training.align.teacher, run)
    return found


def has_own_teacher(config: Any, run: str) -> bool:
    """Tell whether a run says itself which teacher it has."""
    return "teacher" in (config.run(run).training or {}).get("align", {})


def trains_teacher(config: Any) -> bool:
    """Tell whether a teacher is trained in the study."""
    return is_own(config) and any(map(registry.is_trained_here, teachers(config)))


def is_trained_teacher(config: Any, run: str | None, seed: int | None) -> bool:
    """Tell whether the teacher, as a job sees the study, is trained in it."""
    return registry.is_trained_here(config.training.align.teacher)


def is_of_study(config: Any, run: str | None, seed: int | None) -> bool:
    """Tell whether a teacher is the study's, not a run's alone."""
    return run is None


def is_aligned(run: Any) -> bool:
    """Tell whether a run is trained with alignment."""
    return run.method == "align"


def is_trained(run: Any) -> bool:
    """Tell whether a run has weights of its own."""
    return run.method is not None


def acts(run: Any) -> bool:
    """Tell whether a run is a model that acts."""
    return run.policy == "vla"


def is_vlm(run: Any) -> bool:
    """Tell whether a run is the base before robot pretraining."""
    return run.policy == "vlm"


def is_answerer(run: Any) -> bool:
    """Tell whether a run is a vision-language model of others that can be asked here."""
    return run.answerer is not None and not FAMILIES[run.answerer.family].lacking


def has_answerers(config: Any) -> bool:
    """Tell whether a study asks vision-language models of others."""
    return any(map(is_answerer, config.runs.values()))


def looks_inside(config: Any) -> bool:
    """Tell whether a study looks into models: those that start from its own base, or others'."""
    return has_own_model(config) or has_answerers(config)


def asks(config: Any) -> bool:
    """Tell whether a study asks models about VL-Think's first frames."""
    return is_own(config) or has_answerers(config)


#: Runs with weights of their own, for each seed; models that act, scripted policies, and policies
#: behind a socket, which have episodes of their own for each seed; models, those that act or of any
#: kind, of which those that no run has trained are the same for all seeds: the base, and the VLM
#: before robot pretraining; planners that go to a board of VL-Think, once; models that only answer,
#: once.
TRAINED = Runs(is_trained)
ACTING = Runs(acts)
SCRIPTED = Runs(lambda run: run.policy in ("oracle", "random", "noop"))
SERVED = Runs(lambda run: run.policy == "served")
PLANNERS = Runs(lambda run: run.policy in ("oracle", "always_left"), each_seed=lambda run: False)
ACTING_MODELS = Runs(acts, each_seed=is_trained)
ANSWERERS = Runs(is_answerer, each_seed=lambda run: False)
MODELS = Runs(lambda run: acts(run) or is_vlm(run), each_seed=is_trained)


def has_trained(config: Any) -> bool:
    """Tell whether a row of Table 1 is a trained run of our own base."""
    rows = (config.runs[row] for row in config.table1.rows if row in config.runs)
    return is_own(config) and any(map(is_trained, rows))


def has_plane(config: Any) -> bool:
    """Tell whether both runs of the landscape are trained, and rows of Table 1."""
    rows = [run for run in config.table1.rows if run in config.runs]
    return is_own(config) and all(
        run in rows and is_trained(config.runs[run]) for run in config.landscape.runs
    )


def spans_plane(config: Any, run: str, seed: int) -> bool:
    """Tell whether a trained run spans the plane of the landscape."""
    return run in config.landscape.runs and seed == config.seeds[0]
