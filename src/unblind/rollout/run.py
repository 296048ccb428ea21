"""Evaluation of one run with one seed under all conditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.progress import Progress
from unblind.rollout import records, told
from unblind.rollout.draw import draw
from unblind.rollout.factory import make_policy
from unblind.rollout.loop import Crew
from unblind.rollout.policies import Policy
from unblind.rollout.trained import details
from unblind.rollout.worker import Setup
from unblind.sim import blocked, conditions
from unblind.sim.episodes import Episode
from unblind.study import jobs, making, record_names
from unblind.study.code import code_hash
from unblind.study.provenance import is_current, record
from unblind.study.stages import EPISODE_CPU_S


def evaluation_episodes(config: Config, condition: str, seed: int) -> list[Episode]:
    """Return the episodes of a condition: the same for every run with this seed."""
    asked = config.rollout
    size, at_random = asked.count(condition), asked.random_count(condition)
    return draw(condition, size, seed, config.fidelity, at_random, asked.purpose)


def episodes_of(config: Config, name: str, seed: int) -> list[Episode]:
    """Return the episodes of a record: of a condition, or of an arm (`record_names.arms`)."""
    other = record_names.arms(config).get(name)
    if other is None:
        return evaluation_episodes(config, name, seed)
    return [told.tell(other.arm, e) for e in evaluation_episodes(config, other.condition, seed)]


def _setup(config: Config, policy: Policy | None) -> Setup:
    return Setup(config, images=bool(policy and policy.needs_images), oracle=policy is None)


@dataclass(frozen=True)
class Suite:
    """What runs are evaluated on, and what is recorded of it; the defaults are the conditions.

    Attributes:
        episodes: returns the episodes of a record, from configuration, its name and seed.
        setup: returns what workers build, from configuration and policy.
        crew: further arguments of `Crew`.
        schema: of the records.
        key: columns, and fields of an episode, that tell rows apart.
    """

    episodes: Callable[[Config, str, int], list[Episode]] = episodes_of
    setup: Callable[[Config, Policy | None], Setup] = _setup
    crew: Mapping[str, Any] = field(default_factory=dict)
    schema: pa.Schema = records.SCHEMA
    key: tuple[str, ...] = ("episode_id",)


@dataclass(frozen=True)
class Evaluation:
    """What a run's records are made with.

    Attributes:
        run: the run's name.
        seed: evaluation seed.
        made_from: what they depend on, as `provenance.record` takes it.
        details: what they tell of the model.
        policy: makes the policy, None for the planner; called only if something is to do.
        unit_cpu_s: expected CPU-seconds an episode, 0 where nothing is known of them.
        suite: what is evaluated and recorded.
    """

    run: str
    seed: int
    made_from: Mapping[str, Any]
    details: Mapping[str, Any]
    policy: Callable[[], Policy | None]
    unit_cpu_s: float
    suite: Suite = Suite()


def rollout(
    config: Config,
    run: str,
    seed: int,
    out: Path,
    names: Sequence[str] | None,
    n_workers: int,
    rule: str = "rollout",
) -> None:
    """Write ``out/NAME.parquet`` for every record that is not current.

    Finished episodes of an interrupted call are kept. Episodes for which the catalog lacks files
    are left out if the configuration says so; the sidecar names them.

    Args:
        config: the whole configuration.
        run: one of ``config.runs``.
        seed: evaluation seed; draws the episode ids and seeds the policy.
        out: folder of the records.
        names: conditions, or other records of the rule; all if None.
        n_workers: processes; the result does not depend on it.
        rule: ``rollout``, or ``arms`` for the records of `record_names.arms`.

    Raises:
        UnblindError: unknown run or condition, a record of another rule, the catalog lacks files,
            the base or the run's adapter is missing, damaged or of another base, a worker died, or
            the disk is full.
    """
    evaluation, names = evaluation_of(config, run, seed, names, rule)
    evaluate(config, evaluation, out, names, n_workers)


def evaluation_of(
    config: Config, run: str, seed: int, names: Sequence[str] | None, rule: str = "rollout"
) -> tuple[Evaluation, list[str]]:
    """Return how a run is evaluated, and the names of the records (see `rollout`).

    Raises:
        UnblindError: unknown run or condition, a record of another rule, or the run's model is
            missing or damaged.
    """
    job = jobs.Job(config, jobs.stage_of(config, rule, run), run, seed)
    known = [path.stem for path in job.outputs]
    others = record_names.arms(config)
    listed = [n if n in others else conditions.get(n).name for n in names or known]
    for name in listed:
        if name not in known:
            cause = f"'{name}' is no record of the rule {rule}"
            raise UnblindError(cause, f"name some of: {', '.join(known)}")
    unit = 0.0 if config.is_published(run) else EPISODE_CPU_S[config.run(run).policy]
    evaluation = Evaluation(
        run,
        seed,
        made_from(job),
        details(config, run, seed),
        lambda: make_policy(config, run, seed),
        unit * config.rollout.max_steps / 80,
    )
    return evaluation, listed


def made_from(job: jobs.Job) -> dict[str, Any]:
    """Return what the records of a job of rollouts depend on, as `provenance.record` takes it.

    Raises:
        UnblindError: the run is not trained, or the base is missing.
    """
    making.check_inputs(job)
    return {**vars(job.origin)}


def evaluate(
    config: Config, evaluation: Evaluation, out: Path, names: Sequence[str], n_workers: int
) -> None:
    """Write the records that are not current (see `rollout`)."""
    run, seed, suite = evaluation.run, evaluation.seed, evaluation.suite
    key = attrgetter(*suite.key)
    todo = [
        cell
        for cell in _cells(config, evaluation, Path(out), names)
        if not is_current(cell.path, **cell.made_from)
    ]
    total = sum(len(cell.episodes) for cell in todo)
    progress = Progress(f"episodes of {run}, seed {seed}", total, evaluation.unit_cpu_s)
    if not todo:
        return
    policy = evaluation.policy()
    details = {"run_details": evaluation.details} if evaluation.details else {}
    with Crew(suite.setup(config, policy), n_workers, policy, **suite.crew) as crew:
        for cell in todo:
            journal = records.Journal(cell.path, _stamp(run, cell), suite.key)
            progress.advance(len(journal.rows))
            waiting = [e for e in cell.episodes if key(e) not in journal.rows]
            left_out = {"not_run": blocked.to_json(cell.not_run)} if cell.not_run else {}
            with record(cell.path, **cell.made_from, extra=details | left_out):
                for outcome in crew.run(waiting):
                    journal.add(records.row(outcome, run, seed, suite.schema))
                    progress.advance()
                rows = [journal.rows[key(episode)] for episode in cell.episodes]
                records.write(cell.path, rows, suite.schema)
            journal.remove()


@dataclass(frozen=True)
class _Cell:
    """A record to be.

    Attributes:
        path: its file.
        episodes: those that it holds.
        not_run: those that it lacks for want of files.
        made_from: what it depends on, as `provenance.record` takes it.
    """

    path: Path
    episodes: list[Episode]
    not_run: blocked.Blocked
    made_from: Mapping[str, Any]


def _cells(config: Config, evaluation: Evaluation, out: Path, names: Sequence[str]) -> list[_Cell]:
    """Return the records that are named.

    Raises:
        UnblindError: files are missing and ``catalog_missing`` is 'stop'.
    """
    episodes = {name: evaluation.suite.episodes(config, name, evaluation.seed) for name in names}
    blocked_ids = blocked.find(config.catalog, episodes)
    blocked.stop_or_note(config, blocked_ids)
    return [
        _Cell(
            out / f"{name}.parquet",
            [episode for episode in episodes[name] if episode.episode_id not in not_run],
            not_run,
            {**evaluation.made_from, "lacking": blocked.paths(config.catalog, not_run)},
        )
        for name, not_run in blocked_ids.items()
    ]


def _stamp(run: str, cell: _Cell) -> str:
    """Return what the rows of an unfinished record depend on."""
    made_from = cell.made_from
    inputs = [sha256(path) for path in made_from["inputs"]]
    config, seed = made_from["config"], made_from["seed"]
    code = code_hash(*made_from["code"], config=config)
    return digest([config, code, run, seed, inputs, blocked.to_json(cell.not_run)])
