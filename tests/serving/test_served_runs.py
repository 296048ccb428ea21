"""Evaluation of a served run: the same bytes as without a server, and nothing lost without one."""

from pathlib import Path

import commands
import pytest
import sizes
import synthetic
from behind_a_socket import served

from unblind.cli import simulate
from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.records import load_cell
from unblind.rollout import run
from unblind.rollout.policies import RandomPolicy
from unblind.serving import evaluation
from unblind.serving.address import Address
from unblind.serving.ours import policy_server
from unblind.study import jobs, provenance

TWO = ["in_distribution", "position_change_to"]
STEPS = 3
SHORT = {**sizes.episodes(4), "rollout.max_steps": STEPS}


def config(run, **changes):
    """Return a study in which a run of any policy acts behind a socket."""
    about = {f"runs.{run}.{key}": value for key, value in {"policy": "served"}.items()}
    return load(commands.SMOKE, SHORT | about | {f"runs.{run}.method": None} | changes)


class Lasting(RandomPolicy):
    """Breaks when it has acted so many times."""

    def __init__(self, seed, times):
        super().__init__(seed)
        self.acted, self._times = 0, times

    def act(self, seen):
        if self.acted + len(seen) > self._times:
            raise RuntimeError("broken")
        self.acted += len(seen)
        return super().act(seen)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_what_a_server_breaks_off_is_continued_to_the_same_bytes(renderer, tmp_path, capfd):
    """Two of four episodes end before the policy fails; a whole one ends the others."""
    name, study = TWO[1], config("random")
    run.rollout(load(commands.SMOKE, SHORT), "random", 0, tmp_path / "here", [name], 1)
    out = tmp_path / "random" / "0"
    journal = out / f".{name}.journal"

    def evaluate(policy, identity="ours 1"):
        with served(policy, identity) as address:
            evaluation.rollout(study, "random", 0, out, [name], 1, address)

    failing = Lasting(0, 2 * STEPS + 1)
    with pytest.raises(UnblindError, match=r"\(ours 1\) .*it says: RuntimeError: broken") as caught:
        evaluate(failing)
    assert "\n" not in str(caught.value) and "no failure counts" in str(caught.value)
    kept = journal.read_text()
    assert content(out) == {} and len(kept.splitlines()) == 1 + 2
    with pytest.raises(UnblindError, match="another policy server has acted in") as caught:
        evaluate(RandomPolicy(1), "other 1")
    assert "policy_server ours 1; now it is: policy_server other 1" in str(caught.value)
    assert journal.read_text() == kept

    whole = Lasting(0, 99)
    evaluate(whole)
    assert whole.acted == 2 * STEPS, "two episodes were left"
    assert content(out) == content(tmp_path / "here") and len(content(out)) == 1
    assert [path.name for path in out.glob(".*")] == [], "nothing temporary is left"
    evaluate(whole)
    assert whole.acted == 2 * STEPS, "what is current is not asked again"
    with pytest.raises(UnblindError, match="choose another run or --out, or delete"):
        evaluate(RandomPolicy(1), "other 1")

    frame, meta = load_cell(study, "random", 0, name, tmp_path)
    assert len(frame) == 4
    assert meta["config"]["run"] == {"policy": "served", "method": None}
    told = meta["extra"]["run_details"]
    assert told["policy_server"] == "ours 1"
    assert "rotation euler_XYZ_intrinsic" in told["conventions"]
    assert "gripper binary_close_negative" in told["conventions"]


def test_a_model_that_sees_pictures_gives_the_same_bytes(renderer, tmp_path):
    """Through the commands: the server is another process."""
    changes = {"results": str(tmp_path), "rebuild_base": True, **SHORT}
    own = load(commands.SMOKE, changes)
    synthetic.tiny_base(jobs.rebuilt(own))
    run.rollout(own, "base", 0, tmp_path / "here", TWO[:1], 1)
    options = [word for pair in changes.items() for word in ("--set", "{}={}".format(*pair))]
    process = commands.start(
        *("serve", "--config", commands.SMOKE, "--run", "base", "--port", 0), *options
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("base, seed 0, acts at ws://127.0.0.1:"), process.stderr.read()
        address = Address.read(line.split()[5].rstrip(";"))
        there = config("base", **{"results": str(tmp_path)})
        evaluation.rollout(there, "base", 0, tmp_path / "there", TWO[:1], 1, address)
    finally:
        process.kill()
        process.communicate(timeout=30)
    assert len(content(tmp_path / "there")) == 1
    assert content(tmp_path / "there") == content(tmp_path / "here")
    told = provenance.read(tmp_path / "there" / f"{TWO[0]}.parquet")["extra"]["run_details"]
    assert told["policy_server"].startswith("unblind base seed 0 ")


# ---- commands ----------------------------------------------------------------------------------


def test_a_run_has_a_server_if_and_only_if_its_policy_is_served(tmp_path):
    asked = {"config": Path(commands.SMOKE), "out": tmp_path, "arms": False, "knockout": False}
    with pytest.raises(UnblindError, match=r"nobody acts for run 'mine'.*--policy-server ADDRESS"):
        mine = "runs.mine={policy: served, label: Mine, method: null}"
        simulate.rollout(run="mine", override=[mine], policy_server=None, **asked)
    with pytest.raises(UnblindError, match=r"run 'noop' acts by itself"):
        simulate.rollout(run="noop", override=None, policy_server="127.0.0.1", **asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("oracle", "acts by the simulator's state"),
        ("mine", "acts behind a socket"),
        ("default", "missing"),
        ("nobody", "unknown run"),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path, name, why):
    changes = {"results": str(tmp_path), "rebuild_base": True}
    about = {"policy": "served", "label": "Mine", "method": None}
    study = load(commands.SMOKE, changes | {"runs.mine": about})
    with pytest.raises(UnblindError, match=why):
        policy_server(study, name, 0, Address(port=0))


def test_served_runs_are_rows_of_table_1_and_of_nothing_else(tmp_path):
    from unblind.study import selection

    about = {"runs.mine": {"policy": "served", "label": "Mine", "method": None}}
    study = load(commands.SMOKE, about | {"table1.rows": ["oracle", "mine"]})
    assert selection.needed_runs(study, "rollout_served", "table1") == ["oracle", "mine"]
    listed = [job for job in jobs.Job(study, "table1").needed() if job[0].run == "mine"]
    assert [job.name for job, _ in listed] == ["rollout_served"]
    for refused in (jobs.rollout_stage, lambda *of: jobs.stage_of(study, "think", "mine")):
        with pytest.raises(UnblindError):
            refused(study, "mine")
