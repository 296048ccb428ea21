"""Demonstrations: planner episodes recorded step by step, as Parquet shards and a manifest.

Every wanted episode is a *slot* with its own seeded list of episode ids; a slot tries them in
order until one succeeds. Slots know nothing of each other, so the result does not depend on the
number of workers, and a killed run goes on where it was.
"""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files, workers
from unblind.config import Config, DemoSet, digest
from unblind.demos import manifests, shards
from unblind.errors import UnblindError, note
from unblind.progress import Progress
from unblind.sim import blocked, conditions
from unblind.sim.episodes import decode, sample_ids
from unblind.study import jobs
from unblind.study.code import code_hash
from unblind.study.provenance import is_current, record
from unblind.study.stages import STAGES

if TYPE_CHECKING:
    from unblind.demos.recorder import Recorder

CONDITION = "in_distribution"


@dataclass(frozen=True)
class Slot:
    """One wanted episode.

    Attributes:
        split: ``train`` or ``held_out``.
        number: position within the split.
        candidates: episode ids to try, in order.
    """

    split: str
    number: int
    candidates: tuple[int, ...]

    @property
    def name(self) -> str:
        """File stem of the slot's part."""
        return f"{self.split}-{self.number:05d}"

    def without(self, numbers: Container[int]) -> "Slot":
        """Return the slot without these candidates."""
        return replace(self, candidates=tuple(n for n in self.candidates if n not in numbers))


def plan_slots(config: Config, which: DemoSet = "training") -> list[Slot]:
    """Return all slots of a set."""
    if which == "training":
        return _training_slots(config) + _held_out_slots(config)
    if which == "warm-up":
        return _warm_up_slots(config)
    tries = config.base.demos.attempts_per_slot
    first = config.seed << 32
    return [
        Slot("train", n, tuple(range(first + n * tries, first + (n + 1) * tries)))
        for n in range(config.base.demos.successes)
    ]


def _training_slots(config: Config) -> list[Slot]:
    """Deal the training episodes over the 256 object-table pairs.

    Objects vary fastest, so that any prefix of the demonstrations shows all of them.
    """
    space = conditions.get(CONDITION).space("train")
    pairs = [(o, t) for t in range(len(space.tables)) for o in range(len(space.objects))]
    tries = config.demos.attempts_per_slot
    slots = []
    for number in range(config.demos.successes):
        turn, index = divmod(number, len(pairs))
        o, t = pairs[index]
        ids = _ids(config, (turn + 1) * tries, "demos-train", {"object": o, "table": t})
        slots.append(Slot("train", number, tuple(ids[turn * tries :])))
    return slots


def _held_out_slots(config: Config) -> list[Slot]:
    """Deal the held-out episodes over the objects."""
    tries, each = config.demos.attempts_per_slot, config.demos.held_out_per_object
    slots = []
    for o in range(len(conditions.get(CONDITION).space("train").objects)):
        ids = _ids(config, each * tries, "demos-held-out", {"object": o})
        slots += [
            Slot("held_out", o * each + k, tuple(ids[k * tries : (k + 1) * tries]))
            for k in range(each)
        ]
    return slots


def _warm_up_slots(config: Config) -> list[Slot]:
    """Deal the warm-up episodes over the objects."""
    objects = len(conditions.get(CONDITION).space("train").objects)
    tries = config.demos.attempts_per_slot
    slots = []
    for number in range(config.base.warm_up_episodes):
        turn, o = divmod(number, objects)
        ids = _ids(config, (turn + 1) * tries, "warm-up", {"object": o})
        slots.append(Slot("train", number, tuple(ids[turn * tries :])))
    return slots


def _ids(config: Config, n: int, purpose: Any, fixed: dict[str, int]) -> list[int]:
    return sample_ids(CONDITION, n, config.seed, "train", purpose=purpose, fixed=fixed)


def collect(config: Config, out: Path, n_workers: int, which: DemoSet = "training") -> None:
    """Write ``out/train-*.parquet``, ``out/held_out-*.parquet`` and ``out/manifest.json``.

    Finished shards and parts of an interrupted run with the same settings are kept; shards that
    differ from the manifest of a finished one are made again. A finished set is left as it is.
    Slots for which the catalog lacks files stay empty if the configuration says so.

    Raises:
        UnblindError: the catalog lacks files, a slot ran out of candidates, a worker died, or the
            disk is full.
    """
    out, origin = Path(out), jobs.Job(config, jobs.DEMO_STAGES[which]).origin
    slots = plan_slots(config, which)
    candidates = [number for slot in slots for number in slot.candidates]
    not_run = _blocked(config, candidates) if which != "pretraining" else {}
    filled = [one for slot in slots if (one := slot.without(not_run)).candidates]
    unfilled = _unfilled(slots, not_run)
    if not any(slot.split == "train" for slot in filled):
        raise UnblindError(f"{config.catalog} lacks files for every demonstration", "complete it")
    if by_object := _listed(unfilled["slots"]):
        note(f"{len(slots) - len(filled)} of {len(slots)} demonstrations left out: {by_object}")
    with files.explained(out):
        _discard_other_settings(origin, not_run, out)
        _discard_damaged(out)
    plan = shards.group(filled, _shard_episodes(config, which))
    manifest = out / "manifest.json"
    made_from = {**vars(origin), "lacking": blocked.paths(config.catalog, not_run)}
    if is_current(manifest, **made_from) and all((out / name).exists() for name in plan):
        return
    with record(manifest, **made_from):
        _fill_shards(config, which, out, plan, n_workers)
        lost = {"not_collected": unfilled} if not_run else {}
        files.write_json(
            manifest, manifests.describe(config, origin.config, out, list(plan)) | lost
        )
    shutil.rmtree(out / "parts", ignore_errors=True)


def _blocked(config: Config, numbers: Iterable[int]) -> blocked.Blocked:
    """Return which episode ids cannot be tried for lack of files.

    Raises:
        UnblindError: some cannot, and ``catalog_missing`` is 'stop'.
    """
    episodes = (decode(CONDITION, number, "train", config.fidelity) for number in numbers)
    found = blocked.find(config.catalog, {CONDITION: episodes})
    blocked.stop_or_note(config, found)
    return found[CONDITION]


def _unfilled(slots: Iterable[Slot], not_run: blocked.Blocked) -> dict[str, Any]:
    """Return what a set lacks for want of files: slots by object, and candidates of other slots."""
    empty = [slot for slot in slots if not slot.without(not_run).candidates]
    objects = Counter(decode(CONDITION, slot.candidates[0], "train").object for slot in empty)
    struck = len(not_run) - sum(len(slot.candidates) for slot in empty)
    lacking = sorted({name for names in not_run.values() for name in names})
    return {"slots": dict(objects), "candidates_of_other_slots": struck, "files": lacking}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _shard_episodes(config: Config, which: DemoSet) -> int:
    return (config.base.demos if which == "pretraining" else config.demos).shard_episodes


def _fill_shards(
    config: Config, which: DemoSet, out: Path, plan: dict[str, list[Slot]], n_workers: int
) -> None:
    """Record what is missing; a shard is written as soon as its last part is there."""
    parts = out / "parts"
    missing = {name: slots for name, slots in plan.items() if not (out / name).exists()}
    todo = [s for slots in missing.values() for s in slots if not _part(parts, s).exists()]
    _assemble_complete(out, missing)
    progress = Progress(f"{which} demonstrations", len(todo), STAGES["demos"].unit_cpu_s)
    with _pool(config, n_workers, which) as pool:
        futures = [pool.submit(_record_slot, slot, _part(parts, slot)) for slot in todo]
        for future in as_completed(futures):
            future.result()
            progress.advance()
            _assemble_complete(out, missing)


def _assemble_complete(out: Path, missing: dict[str, list[Slot]]) -> None:
    parts = out / "parts"
    for name in [n for n, slots in missing.items() if _complete(parts, slots)]:
        shards.assemble(out / name, [_part(parts, slot) for slot in missing.pop(name)])


def _part(parts: Path, slot: Slot) -> Path:
    return parts / f"{slot.name}.parquet"


def _complete(parts: Path, slots: list[Slot]) -> bool:
    return all(_part(parts, slot).exists() for slot in slots)


def _discard_other_settings(origin: jobs.Origin, not_run: blocked.Blocked, out: Path) -> None:
    """Start afresh where ``out`` holds work of another configuration, other code or other files."""
    stamp = out / "settings.json"
    wanted = {
        "config": origin.config,
        "code": code_hash(*origin.code, config=origin.config),
        "not_run": digest(blocked.to_json(not_run)),
    }
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    for old in (*out.glob("*.parquet"), out / "manifest.json"):
        old.unlink(missing_ok=True)
    shutil.rmtree(out / "parts", ignore_errors=True)
    files.write_json(stamp, wanted)


def _discard_damaged(out: Path) -> None:
    """Delete shards that differ from the manifest of an earlier call: they are made again."""
    try:
        known = shards.load_manifest(out)["shards"]
    except UnblindError:
        return  # there was none
    for name, checksum in known.items():
        if (out / name).exists() and files.sha256(out / name) != checksum:
            (out / name).unlink()


@contextlib.contextmanager
def _pool(config: Config, n: int, which: DemoSet = "training") -> Iterator[ProcessPoolExecutor]:
    """Yield ``n`` worker processes, started as they are needed; drop what waits on an error."""
    try:
        with ProcessPoolExecutor(
            n, mp_context=workers.context(), initializer=_start_worker, initargs=(config, which)
        ) as pool:
            try:
                yield pool
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        raise UnblindError(
            "a demonstration worker died", "run the same command again: it continues"
        ) from None


def _start_worker(config: Config, which: DemoSet) -> None:
    global _config, _which
    workers.follow_parent()
    _config, _which = config, which


@cache
def _recorder() -> "Recorder":
    """Return this worker's recorder; built in the first task, whose errors reach the parent."""
    from unblind.demos.recorder import Recorder

    recorder = Recorder(_config, _which)
    workers.settle_in()
    return recorder


def _record_slot(slot: Slot, path: Path) -> None:
    """Try the slot's candidates until one succeeds; write its steps to ``path``."""
    log = []
    for episode_id in slot.candidates:
        attempt = _recorder().attempt(episode_id)
        log.append(attempt.summary())
        if attempt.success:
            break
    else:
        raise UnblindError(
            f"demonstration slot {slot.name} failed {len(log)} times, last at "
            f"'{log[-1]['failed_stage']}'",
            "raise demos.attempts_per_slot",
        )
    table = pa.Table.from_pylist(attempt.rows(), schema=shards.SCHEMA)
    table = table.replace_schema_metadata({"attempts": json.dumps(log)})
    with files.atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none")


def survey(config: Config, attempts_per_object: int, n_workers: int) -> dict[str, Any]:
    """Attempt a seeded sample of episodes once each, without retry, and count successes.

    Each of the 16 training objects gets ``attempts_per_object`` episodes, no two with the same
    pair of positions; those that lack files of the catalog are left out if the configuration says
    so.

    Returns:
        attempts, successes, and the same by object with the failures by stage.

    Raises:
        UnblindError: the catalog lacks files, or a worker died.
    """
    space = conditions.get(CONDITION).space("train")
    ids = []
    for o in range(len(space.objects)):
        drawn = _ids(config, 4 * attempts_per_object, "validation", {"object": o})
        ids += distinct_places(drawn)[:attempts_per_object]
    not_run = _blocked(config, ids)
    ids = [number for number in ids if number not in not_run]
    progress = Progress("attempts", len(ids), STAGES["demos"].unit_cpu_s)
    log = []
    with _pool(config, n_workers) as pool:
        for summary in pool.map(_try_once, ids):
            log.append(summary)
            progress.advance()
    return manifests.tally(log)


def _try_once(episode_id: int) -> dict[str, Any]:
    return _recorder().attempt(episode_id).summary()


def distinct_places(episode_ids: list[int]) -> list[int]:
    """Drop the ids whose pair of positions has come before."""
    seen: dict[int, int] = {}
    for number in episode_ids:
        seen.setdefault(decode("in_distribution", number).place_index, number)
    return list(seen.values())
