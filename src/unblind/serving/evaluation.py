"""Evaluation of a run whose policy acts behind a socket."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unblind import files
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.rollout.run import Evaluation, evaluate, made_from
from unblind.serving.address import ACTION_S, Address
from unblind.serving.client import RemotePolicy
from unblind.serving.conventions import of_benchmark
from unblind.sim import conditions
from unblind.study import jobs, provenance
from unblind.study.stages import EPISODE_CPU_S

#: Beside records in the making: which server acts in them.
_MARK = ".server.json"


def rollout(
    config: Config,
    run: str,
    seed: int,
    out: Path,
    names: Sequence[str] | None,
    n_workers: int,
    address: Address,
    action_s: float = ACTION_S,
) -> None:
    """Write ``out/CONDITION.parquet`` for every condition whose record is not current.

    As `unblind.rollout.run.rollout`: the same episodes, and an interrupted call is continued. The
    sidecars tell who the server says it is, and its conventions.

    Args:
        config: the whole configuration.
        run: one of ``config.runs`` with the policy ``served``.
        seed: evaluation seed; draws the episode ids.
        out: folder of the records.
        names: conditions; all if None.
        n_workers: processes; the result does not depend on it.
        address: of the server.
        action_s: seconds within which the server must act for all scenes that ask at once.

    Raises:
        UnblindError: unknown run or condition, the catalog lacks files, rollouts may end early, a
            worker died, or the disk is full; the server cannot be reached, declares other
            conventions, misbehaves, or is another one than that of records which are there.
    """
    if config.rollout.stop_early:
        cause = f"run '{run}' acts behind a socket, and rollout.stop_early is set"
        raise UnblindError(cause, "set it to null")
    job = jobs.Job(config, "rollout_served", run, seed)
    listed = [conditions.get(name).name for name in names or [path.stem for path in job.outputs]]
    address.warn()
    steps = config.rollout.max_steps
    with RemotePolicy(address, of_benchmark(config), steps, action_s) as policy:
        told = {"policy_server": policy.identity, "conventions": str(policy.conventions)}
        unit = EPISODE_CPU_S["served"] * steps / 80
        evaluation = Evaluation(run, seed, made_from(job), told, lambda: policy, unit)
        with _of_one_server(Path(out), told):
            evaluate(config, evaluation, out, listed, n_workers)


@contextlib.contextmanager
def _of_one_server(out: Path, told: Mapping[str, str]) -> Iterator[None]:
    """Let no records and no halves of them in a folder come from two servers.

    Raises:
        UnblindError: another server has acted here.
    """
    mark = out / _MARK
    known = {path: _acted(path) for path in sorted(out.glob("*.parquet"))}
    if mark.is_file():
        with contextlib.suppress(OSError, ValueError):
            known[mark] = json.loads(mark.read_text(encoding="utf-8"))
    for other in known.values():
        if other != told:
            differing = [name for name in told if (other or {}).get(name) != told[name]]
            then = "; ".join(f"{name} {(other or {}).get(name)}" for name in differing)
            now = "; ".join(f"{name} {told[name]}" for name in differing)
            raise UnblindError(
                f"another policy server has acted in {out}: {then}; now it is: {now}",
                f"choose another run or --out, or delete {out}",
            )
    files.write_json(mark, told)
    yield
    mark.unlink(missing_ok=True)


def _acted(path: Path) -> Mapping[str, str] | None:
    """Return which server the sidecar of a record names."""
    return (provenance.read(path).get("extra") or {}).get("run_details")
