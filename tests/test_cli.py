import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "workflow" / "config" / "smoke.yaml")
PICTURE = "docs/images/conditions.png"
ELSEWHERE = ("--set", "results=nowhere", "--set", "rebuild_base=true")


def unblind(*words, folder=ROOT):
    command = [sys.executable, "-m", "unblind.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_help_needs_nothing_heavy():
    done = unblind("--help")
    assert done.returncode == 0
    assert "table1" in done.stdout
    heavy = "{'torch', 'transformers', 'sapien', 'mani_skill', 'pandas', 'pyarrow', 'cv2'}"
    program = f"import sys, unblind.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_conditions_as_json():
    listed = json.loads(unblind("conditions", "--json").stdout)
    keys = {"name", "suite", "column", "released_env", "split", "episodes", "factors"}
    assert len(listed) == 14
    assert all(keys <= entry.keys() for entry in listed)
    # Sizes of the released evaluation spaces.
    sizes = {entry["column"]: entry["episodes"] for entry in listed}
    assert (sizes["Carrot"], sizes["PosChangeTo"]) == (451584, 2154496)


def test_decode_prints_plain_json():
    # The release counts yaw fastest, then 784 places: id 5 is place 1, yaw 45 degrees.
    for name in ("carrot", "PutOnPlateInScene25Carrot-v1"):
        done = unblind("decode", name, "5", "--json")
        episode = json.loads(done.stdout)
        assert (episode["object"], episode["yaw_deg"]) == ("travel cup", 45.0)
        assert episode["instruction"] == "put travel cup on plate"
    train = json.loads(unblind("decode", "carrot", "5", "--split", "train", "--json").stdout)
    assert train["object"] == "carrot"
    assert json.loads(unblind("decode", "in_distribution", "5", "--json").stdout) | {} == (
        train | {"condition": "in_distribution"}
    )


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["decode", "carot", "5"], "unknown condition 'carot'"),
        (["decode", "carrot", "451584"], "451584"),
        (["decode", "carrot", "-1"], "-1"),
        (["rollout", "--run", "orcle"], "unknown run 'orcle', did you mean 'oracle'"),
        (["demos", "--set", "demos.sucesses=1"], "unknown key 'demos.sucesses'"),
        (["table1", "--config", "absent.yaml"], "cannot read configuration absent.yaml"),
        (["table1", "--config", CONFIG, "--records", "nowhere"], "nowhere.*is missing"),
        (["train", "--run", "orcle"], "unknown run 'orcle', did you mean 'oracle'"),
        (["train", "--run", "base"], "run 'base' has no method: there is nothing to train (runs"),
        (["train", "--run", "align", *ELSEWHERE], "(run: unblind base warm-up, or set"),
        (["features", "low", *ELSEWHERE], "no base in nowhere/rebuilt-base: config.json, model"),
        (["base", "vlm", *ELSEWHERE], "manifest.json is missing (run: unblind base questions)"),
        (["base", "robot", *ELSEWHERE], "is missing (run: unblind base vlm)"),
        (["base", "warm-up", *ELSEWHERE], "is missing (run: unblind base robot)"),
        (["predict", "Makefile", "put carrot on plate"], "Makefile is no readable picture"),
        (["predict", "absent.png", "put carrot on plate"], "absent.png is missing"),
        (["predict", PICTURE, "x", "--run", "noop"], "run 'noop' is scripted"),
        (["watch", "carrot", "5", "--run", "alihn"], "unknown run 'alihn', did you mean 'align'"),
        (["rollout", "--run", "align", *ELSEWHERE], "no base in nowhere/rebuilt-base"),
    ],
)
def test_a_problem_is_one_line_and_exit_code_1(words, cause):
    done = unblind(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert cause.split(".*")[0] in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["rollout"],
        ["decode", "carrot", "5", "--splat", "train"],
        ["demos", "--workers", "0"],
        ["demos", "--set", "seed"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(words):
    assert unblind(*words).returncode == 2


def test_costs_are_estimated_and_then_measured(tmp_path):
    import synthetic

    from unblind.config import load

    config = load(CONFIG)
    before = unblind("costs", "--config", CONFIG, "--results", str(tmp_path)).stdout.splitlines()
    rows = ["demos", "replay", "base", "features low", "training of default"]
    rows += [f"rollouts of {run}" for run in ("default", "base", "oracle", "random", "noop")]
    assert [line[:24].strip() for line in before[1:]] == [*rows, "together"]
    assert [line.split()[-1] for line in before[1:]] == ["-"] * 11
    assert all(float(line.split()[-2]) > 0 for line in before[1:])
    synthetic.write_demos(config, tmp_path / "demos")
    meta = tmp_path / "demos" / "manifest.json.meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"cpu_s": 12.3}))
    after = unblind("costs", "--config", CONFIG, "--results", str(tmp_path)).stdout.splitlines()
    assert after[1].split() == ["demos", after[1].split()[1], "12"]
    assert after[-1].split()[-1] == "12"


def test_costs_of_a_rebuilt_base_are_told_by_stage(tmp_path):
    words = ("--results", str(tmp_path), "--set", "rebuild_base=true", "--config", CONFIG)
    found = unblind("costs", *words).stdout
    stages = ("questions", "demos", "warm-up demos", "vlm", "robot", "warm-up")
    assert [f"base: {stage} " in found for stage in stages] == [True] * 6


def test_schema_is_written_where_asked(tmp_path):
    path = tmp_path / "schema.json"
    assert unblind("schema", "--write", "--out", str(path)).returncode == 0
    assert path.read_text() == unblind("schema").stdout
