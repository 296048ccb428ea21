"""Open-loop replay of stored demonstrations: the ceiling of any policy trained on them.

Each demonstration is executed twice from its own initial state: as it was sent, and as a policy
without error would send its labels (no-op filter, normalisation, 256 tokens, and back).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.config import Config
from unblind.demos import labels, shards
from unblind.demos.collect import CONDITION
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.rollout.loop import Crew
from unblind.rollout.policies import OpenLoopPolicy
from unblind.rollout.worker import Setup
from unblind.sim import blocked
from unblind.sim.episodes import decode
from unblind.study import jobs
from unblind.study.provenance import record
from unblind.study.stages import STAGES
from unblind.vla.tokens import ActionCodec, ActionNormalizer, ActionTokenizer


def replay(config: Config, demos: Path, out: Path, n_workers: int) -> None:
    """Replay a seeded choice of training demonstrations and write one row each to ``out``.

    Columns: episode_id, object, table, steps_raw, steps_tokenised, raw_success,
    tokenised_success (at the last of 80 steps; the arm stands still when a sequence has ended).

    Raises:
        UnblindError: demonstrations are missing, too few or corrupt, files of the catalog are
            missing, or a worker died.
    """
    manifest = Path(demos) / "manifest.json"
    demonstrations = _choose(config, shards.load(demos, "train", images=False))
    episodes = (
        decode(CONDITION, e["episode_id"], "train", config.fidelity) for e in demonstrations
    )
    blocked.refuse(config, blocked.find(config.catalog, {CONDITION: episodes}))
    statistics = shards.load_manifest(demos)["statistics"]
    codec = ActionCodec(ActionNormalizer.from_json(statistics, manifest), ActionTokenizer())
    sequences = {
        "raw": {e["episode_id"]: e["executed"] for e in demonstrations},
        "tokenised": {e["episode_id"]: _tokenised(config, codec, e) for e in demonstrations},
    }
    origin = replace(jobs.Job(config, "replay").origin, inputs=(manifest,))
    with record(out, **vars(origin)):
        won = _play(config, sequences, n_workers)
        rows = [_row(config, e["episode_id"], sequences, won) for e in demonstrations]
        with files.atomic_path(out) as temporary:
            pq.write_table(pa.Table.from_pylist(rows), temporary)


def _choose(config: Config, episodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    n = config.replay.episodes
    if n > len(episodes):
        raise UnblindError(
            f"{n} demonstrations to replay, {len(episodes)} there", "lower replay.episodes"
        )
    rng = np.random.default_rng([config.seed, len(episodes)])
    return [episodes[i] for i in sorted(rng.choice(len(episodes), n, replace=False))]


def _tokenised(config: Config, codec: ActionCodec, episode: dict[str, Any]) -> np.ndarray:
    """Return what a policy would execute that predicts every label's tokens."""
    rule = config.demos.noop_filter
    chain = labels.apply(rule, episode["actions"], episode["executed"]).chain()
    return codec.decode(codec.encode(chain)).astype(np.float32)


def _play(
    config: Config, sequences: dict[str, dict[int, np.ndarray]], n_workers: int
) -> dict[str, dict[int, bool]]:
    """Return final success by kind of sequence and episode id."""
    progress = Progress(
        "replays", sum(len(actions) for actions in sequences.values()), STAGES["replay"].unit_cpu_s
    )
    policy = OpenLoopPolicy()
    won: dict[str, dict[int, bool]] = {}
    with Crew(Setup(config, images=False, oracle=False), n_workers, policy) as crew:
        for kind, actions in sequences.items():
            policy.load(actions)
            won[kind] = {}
            episodes = [decode(CONDITION, number, "train", config.fidelity) for number in actions]
            for outcome in crew.run(episodes):
                won[kind][outcome.episode.episode_id] = outcome.success_final
                progress.advance()
    return won


def _row(
    config: Config, number: int, sequences: dict[str, Any], won: dict[str, dict[int, bool]]
) -> dict[str, Any]:
    episode = decode(CONDITION, number, "train", config.fidelity)
    return {
        "episode_id": number,
        "object": episode.object,
        "table": episode.table,
        **{f"steps_{kind}": len(sequences[kind][number]) for kind in sequences},
        **{f"{kind}_success": won[kind][number] for kind in sequences},
    }
