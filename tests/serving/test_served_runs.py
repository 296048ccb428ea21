"""Evaluation of a served run: the same bytes as without a server, and nothing lost without one."""

import commands
import pandas as pd
import pytest
import sizes
import synthetic
from behind_a_socket import hold, served, strange

from unblind.cli import simulate
from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.records import load_cell
from unblind.rollout import run
from unblind.rollout.policies import NoopPolicy, RandomPolicy
from unblind.serving import evaluation
from unblind.serving.address import Address
from unblind.serving.ours import policy_server
from unblind.study import jobs, provenance

TWO = ["in_distribution", "position_change_to"]
SHORT = {**sizes.episodes(4), "rollout.max_steps": 4}


def config(run, **changes):
    """Return a study in which a run of any policy acts behind a socket."""
    about = {f"runs.{run}.{key}": value for key, value in {"policy": "served"}.items()}
    return load(commands.SMOKE, SHORT | about | {f"runs.{run}.method": None} | changes)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_a_scripted_policy_gives_the_same_bytes(renderer, tmp_path):
    run.rollout(load(commands.SMOKE, SHORT), "random", 0, tmp_path / "here", TWO, 1)
    out = tmp_path / "random" / "0"
    with served(RandomPolicy(0)) as address:
        evaluation.rollout(config("random"), "random", 0, out, TWO, 2, address)
    assert len(content(out)) == 2
    assert content(out) == content(tmp_path / "here")
    assert [path.name for path in out.glob(".*")] == [], "nothing temporary is left"
    frame, meta = load_cell(config("random"), "random", 0, TWO[0], tmp_path)
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


def test_what_a_server_breaks_off_is_continued_and_no_failure(renderer, tmp_path):
    """Two of four episodes end before the server goes; a whole server ends the others."""
    run.rollout(load(commands.SMOKE, SHORT), "noop", 0, tmp_path / "here", TWO[:1], 1)
    out, study = tmp_path / "noop" / "0", config("noop")
    journal = out / f".{TWO[0]}.journal"

    def rows():
        return journal.read_text().splitlines()[1:]

    with strange(lambda channel, seen: channel._link.close(), good=9) as address:
        with pytest.raises(UnblindError, match=r"\(strange 0\) closed the connection") as caught:
            evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)
    assert "\n" not in str(caught.value)
    assert content(out) == {} and len(rows()) == 2
    kept = rows()
    with served(NoopPolicy(), "other 1") as address:
        with pytest.raises(UnblindError, match="another policy server has acted in") as caught:
            evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)
    assert "policy_server strange 0; now it is: policy_server other 1" in str(caught.value)
    assert rows() == kept
    asked = []

    class Counts(NoopPolicy):
        def act(self, seen):
            asked.extend(seen)
            return super().act(seen)

    with served(Counts(), "strange 0") as address:
        evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)
        assert len(asked) == 2 * 4, "two episodes of four steps were left"
        assert content(out) == content(tmp_path / "here")
        evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)
        assert len(asked) == 2 * 4, "what is current is not asked again"
    assert len(pd.read_parquet(out / f"{TWO[0]}.parquet")) == 4
    with strange(hold, None) as address:
        evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)
    with served(NoopPolicy(), "other 1") as address:
        with pytest.raises(UnblindError, match="choose another run or --out, or delete"):
            evaluation.rollout(study, "noop", 0, out, TWO[:1], 1, address)


# ---- commands ----------------------------------------------------------------------------------


def test_a_run_has_a_server_if_and_only_if_its_policy_is_served(tmp_path):
    asked = {"config": commands.SMOKE, "out": tmp_path, "arms": False, "knockout": False}
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
    study = load(commands.SMOKE, changes | {"runs": {"mine": about}})
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
