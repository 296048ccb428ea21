"""Bad input to long commands: one clear error line, exit code 1, and nothing half-written."""

import json

import commands
import pytest

from unblind import files

DEMOS = ("demos", "--config", commands.SMOKE, "--workers", 1)
ROLLOUT = ("rollout", "--config", commands.SMOKE, "--run", "noop", "--workers", 2)
REPLAY = ("replay", "--config", commands.SMOKE)
WATCH = ("watch", "--config", commands.SMOKE)


def artifacts(folder):
    """What a step would read, and anything temporary."""
    wanted = (".parquet", ".json", ".tmp", ".mp4")
    found = [path for path in folder.rglob("*") if path.suffix in wanted]
    return [path.name for path in found if path.name != "settings.json"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((*ROLLOUT, "--condition", "carot"), "unknown condition 'carot'"),
        ((*WATCH, "carot", 5), "unknown condition 'carot'"),
        ((*WATCH, "carrot", 451584), "451584 is beyond the space of carrot (ids are 0 to 451583"),
        ((*WATCH, "carrot", -1), "-1 is beyond the space of carrot"),
        ((*DEMOS, "--set", "rollout.scene=3"), "'rollout.scene', did you mean 'scenes'"),
        ((*ROLLOUT, "--set", "runs.noop.policy=nop"), "'runs.noop.policy'"),
    ],
)
def test_a_wrong_word_stops_before_anything_is_made(words, cause, tmp_path):
    out = tmp_path / "out"
    assert cause in commands.problem(commands.run(*words, "--out", out))
    assert not out.exists()


def test_an_unknown_policy_is_wrong_usage():
    done = commands.run(*WATCH, "carrot", 5, "--policy", "orcle")
    assert done.returncode == 2
    assert "orcle" in done.stderr and "Traceback" not in done.stderr


def test_a_configuration_that_is_not_yaml(tmp_path):
    (tmp_path / "bad.yaml").write_text("demos: [1\n")
    done = commands.run("demos", "--config", tmp_path / "bad.yaml", "--out", tmp_path / "out")
    assert "bad.yaml is not YAML" in commands.problem(done)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [DEMOS, ROLLOUT])
def test_a_file_where_the_folder_should_be(words, tmp_path):
    out = tmp_path / "out"
    out.write_text("mine")
    assert f"cannot write {out}" in commands.problem(commands.run(*words, "--out", out))
    assert out.read_text() == "mine"


# ---- demonstrations that are not there or not whole -------------------------------------------


def test_replay_without_demonstrations(tmp_path):
    out = tmp_path / "replay.parquet"
    done = commands.run(*REPLAY, "--demos", tmp_path / "demos", "--out", out)
    assert "no readable manifest.json" in (line := commands.problem(done))
    assert "run `unblind demos`" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", ["differs from its manifest", "is missing", "is unreadable"])
def test_replay_of_a_corrupted_shard(state, tmp_path):
    demos, out = tmp_path / "demos", tmp_path / "replay.parquet"
    demos.mkdir()
    shard = demos / "train-00000.parquet"
    shard.write_bytes(b"PAR1 cut off")
    checksum = files.sha256(shard) if state == "is unreadable" else "0" * 64
    if state == "is missing":
        shard.unlink()
    manifest = {"shards": {shard.name: checksum}, "statistics": {}}
    (demos / "manifest.json").write_text(json.dumps(manifest))
    line = commands.problem(commands.run(*REPLAY, "--demos", demos, "--out", out))
    assert f"{shard} {state} (delete it and run `unblind demos` again)" in line
    assert set(artifacts(tmp_path)) <= {shard.name, "manifest.json"}


# ---- the machine ------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [DEMOS, ROLLOUT, (*WATCH, "carrot", 5)])
def test_without_vulkan(words, tmp_path):
    out = tmp_path / "out"
    line = commands.problem(commands.run(*words, "--out", out, UNBLIND_VULKAN="off"))
    assert line.startswith("error: no Vulkan device") and "unset UNBLIND_VULKAN" in line
    assert artifacts(tmp_path) == []


@pytest.mark.parametrize("words", [DEMOS, ROLLOUT])
def test_without_the_released_files(words, renderer, tmp_path):
    (tmp_path / "assets").mkdir()
    change = ("--set", f"catalog={tmp_path / 'assets'}")
    line = commands.problem(commands.run(*words, "--out", tmp_path / "out", *change))
    assert "released file" in line and "model_db.json is missing" in line
    assert artifacts(tmp_path) == []


def test_demonstrations_on_a_full_disk(renderer, small_disk):
    """The settings fit, the first demonstration's pictures do not."""
    line = commands.problem(commands.run(*DEMOS, "--out", small_disk / "set"))
    assert f"disk full while writing {small_disk / 'set' / 'parts'}" in line
    assert "free space, then run the same command" in line
    assert artifacts(small_disk) == []


def test_records_on_a_full_disk(renderer, small_disk):
    """The journal's first rows fit; workers that are stepping then end without a word."""
    (small_disk / "ballast").write_bytes(bytes(60 * 1024 - 4096))
    change = ("--set", "rollout.max_steps=3", "--set", "rollout.episodes=40")
    line = commands.problem(commands.run(*ROLLOUT, "--out", small_disk / "set", *change))
    assert f"disk full while writing {small_disk / 'set'}" in line
    assert artifacts(small_disk) == []
