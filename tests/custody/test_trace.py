import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import whole_study
from typer.testing import CliRunner

from unblind.custody import changes, trace, tree
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.study import jobs, provenance, store

TABLE = Path("results/table1.md")
WEIGHTS = Path("results/training/align/0/adapter_model.safetensors")
RECORD = Path("results/rollouts/align/0/carrot.parquet")
DEMOS = Path("results/demos/manifest.json")


def call(*words):
    from unblind.cli.custody import app

    return CliRunner().invoke(app, ["trace", *map(str, words)])


def artifact(config, path):
    return next(one for one in whole_study.study(config) if one.path == path)


def behind(artifacts, path):
    """Return all artifacts that one was made from, however indirectly, and itself."""
    if path not in artifacts:
        return set()
    one = artifacts[path]
    read = (*(one.origin.inputs if one.origin else ()), *one.optional)
    return {path}.union(*(behind(artifacts, other) for other in read))


def test_everything_behind_a_table_is_in_its_tree(study):
    nodes = trace.trace(TABLE)
    assert next(iter(nodes)) == TABLE
    wanted = behind({one.path: one for one in whole_study.study(study)}, TABLE) - {TABLE}
    made = {path for path, node in nodes.items() if node.sidecar}
    assert made == (wanted | {TABLE}) - {store.PULLED_BASE / "vlm.safetensors"}
    beside = {WEIGHTS.with_name(name) for name in ("adapter_config.json", "identity.json")}
    assert {Path("paper-claims")} | beside <= nodes.keys() - made
    assert not any(node.changed for node in nodes.values())
    node = nodes[RECORD]
    assert {one.path: one.sha256 for one in node.inputs}[WEIGHTS] == sha256(WEIGHTS)
    assert {one.state for one in node.inputs} == {"as read"}


def test_the_tree_as_text(study):
    lines = call(TABLE).stdout.splitlines()
    assert lines[0] == str(TABLE)
    assert lines[1] == f"│  sha256 {sha256(TABLE)[:12]}"
    meta = provenance.read(TABLE)
    assert lines[2].startswith(f"│  made {meta['started']} at commit {meta['commit'][:12]}")
    assert lines[3] == f"│  code {meta['code_hash'][:12]}: {changes.some(meta['code'])}"
    assert "unblind.report" in meta["code"]
    assert lines[4].startswith(f"│  config {meta['config_hash'][:12]}: {{")
    assert (lines[5], lines[6][:8]) == ("│  seed none", "│  cost ")
    # Records of a run are alike, and the base is told once.
    text = "\n".join(lines)
    records = "results/rollouts/align/0/: 16 files (carrot.parquet, ee_pose.parquet, in_dis"
    assert text.count(records) == 1
    told = [line for line in lines if "results/base/: 4 files" in line]
    assert [line.endswith("(see above)") for line in told] == [False] + [True] * 6
    assert call(TABLE).stdout == call(TABLE).stdout


@pytest.mark.parametrize(
    ("variables", "boxes"),
    [
        ({"PYTHONIOENCODING": "utf-8"}, True),
        ({"PYTHONIOENCODING": "cp437"}, True),  # has them, though little else
        ({"PYTHONIOENCODING": "latin-1"}, False),
        ({"PYTHONIOENCODING": "cp1252"}, False),
        ({"PYTHONIOENCODING": "ascii"}, False),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, False),
    ],
)
def test_the_tree_is_drawn_with_what_the_terminal_has(study, variables, boxes):
    encoding = variables.get("PYTHONIOENCODING", "ascii")
    done = subprocess.run(
        [sys.executable, "-m", "unblind.cli", "trace", str(TABLE)],
        env=os.environ | variables,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    drawn = tree.render(trace.trace(TABLE))
    assert {"│  ", "├─ ", "└─ "} <= {line[:3] for line in drawn.splitlines()}
    if not boxes:
        for box, plain in zip("│├─└", "||-`", strict=True):
            drawn = drawn.replace(box, plain)
    assert done.stdout.decode(encoding) == drawn + "\n"


def test_every_file_can_have_its_line(study):
    text = call(TABLE, "--every-file").stdout
    records = Path("results/rollouts").rglob("*.parquet")
    assert all(f"{path}  sha256 {sha256(path)[:12]}" in text for path in records)


def test_the_tree_as_json(study):
    files = json.loads(call(RECORD, "--json").stdout)["files"]
    first = files[0]
    assert first["path"] == str(RECORD)
    assert first["sidecar"]["config"] == jobs.settings(study, "rollout", "align")
    assert first["sidecar"]["commit"] == provenance.read(RECORD)["commit"]
    paths = [one["path"] for one in first["inputs"]]
    assert paths == sorted(paths) and str(WEIGHTS) in paths
    assert {one["path"] for one in files} >= set(paths)
    assert all(one["state"] == "as read" for one in first["inputs"])


# ---- what has changed since --------------------------------------------------------------------


def test_a_changed_input_is_marked_where_it_was_read(study):
    whole_study.make(artifact(study, WEIGHTS), text="made again")
    nodes = trace.trace(RECORD)
    assert nodes[RECORD].changed == (
        f"input changed: {WEIGHTS}, {WEIGHTS.with_name('identity.json')}",
    )
    assert nodes[WEIGHTS].changed == ()
    read = provenance.read(RECORD)["inputs"][str(WEIGHTS)][:12]
    text = tree.render(nodes)
    assert f"{WEIGHTS}  sha256 {read}  CHANGED SINCE\n" in text
    assert f"│  │  sha256 {sha256(WEIGHTS)[:12]}\n" in text


def test_damage_is_marked(study):
    RECORD.write_text("damaged")
    assert trace.trace(RECORD)[RECORD].changed == ("its content differs from its sidecar",)
    DEMOS.with_name("train-00000.parquet").write_text("damaged")
    wrong = "shard differs from its checksum: train-00000.parquet"
    assert trace.trace(RECORD)[DEMOS].changed == (wrong,)
    WEIGHTS.with_name("run.json").write_text("{}")
    assert trace.trace(RECORD)[WEIGHTS].changed == ("run.json differs from the sidecar",)
    assert f"CHANGED SINCE: {wrong}" in call(RECORD).stdout


def test_changed_code_and_settings_are_marked(study, monkeypatch):
    real = changes.source_hash
    monkeypatch.setattr(
        changes, "source_hash", lambda *m: "0" * 64 if "unblind.align" in m else real(*m)
    )
    monkeypatch.setattr(changes, "_changed_files", lambda *_: ["unblind/align/losses.py"])
    changed = whole_study.settings(training__rank=8)
    nodes = trace.trace(RECORD, whole_study.study(changed))
    wanted = ("config changed: training.rank 4 -> 8", "code changed: unblind/align/losses.py")
    assert nodes[WEIGHTS].changed == wanted
    assert {path for path, node in nodes.items() if node.changed} == {WEIGHTS}


def test_absent_inputs_are_marked_and_no_error(study):
    shutil.rmtree("results/demos")
    nodes = trace.trace(RECORD)
    assert nodes[DEMOS].sidecar is None
    (one,) = (one for one in nodes[WEIGHTS].inputs if one.path == DEMOS)
    assert one.state == "absent"
    assert f"{DEMOS}  sha256 {one.sha256[:12]}  not here" in tree.render(nodes)


# ---- which file --------------------------------------------------------------------------------


def test_files_without_a_sidecar_lead_to_their_artifact(study):
    for name in ("training.jsonl", "projector.safetensors", "identity.json"):
        assert next(iter(trace.trace(WEIGHTS.with_name(name)))) == WEIGHTS
    shard = DEMOS.with_name("train-00001.parquet")
    assert call(shard).stdout.splitlines()[:2] == [f"{shard} belongs to", str(DEMOS)]
    assert call(RECORD.absolute()).stdout == call(RECORD).stdout
    nodes = trace.trace(provenance.sidecar_path(RECORD))
    assert [one.path for one in nodes[provenance.sidecar_path(RECORD)].inputs] == [
        one.path for one in trace.trace(RECORD)[RECORD].inputs
    ]


def test_sidecars_that_were_read_stand_for_their_artifacts(study):
    costs = artifact(study, Path("results/costs.md"))
    whole_study.make(costs, inputs=(provenance.sidecar_path(RECORD),))
    nodes = trace.trace(costs.path)
    assert nodes[provenance.sidecar_path(RECORD)].sidecar.artifact == "carrot.parquet"
    assert WEIGHTS in nodes


@pytest.mark.parametrize(
    ("make", "path", "cause"),
    [
        (None, "results/absent.md", "results/absent.md is missing"),
        (None, "results", "results is a folder"),
        (None, "paper-claims", "paper-claims has no sidecar: it is no artifact of a study"),
        ("results/demos/foreign.parquet", "results/demos/foreign.parquet", "has no sidecar"),
        ("results/demos/manifest.json.meta.json", str(RECORD), "is unreadable"),
    ],
)
def test_other_files_are_one_error(study, make, path, cause):
    if make:
        Path(make).write_text("[")
    with pytest.raises(UnblindError) as caught:
        trace.trace(Path(path))
    assert cause in caught.value.cause
    assert caught.value.remedy
    assert call(path).exit_code == 1


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"inputs": {"x": "0"}}, "malformed at 'inputs.x'"),
        ({"inputs": {"a" * 300: "0" * 64}}, "File name too long"),
        ({"commit": None}, "malformed at 'commit'"),
        ({"extra": "x" * 9_000_000}, "has more than 8,000,000 bytes"),
    ],
)
def test_hostile_sidecars_are_one_error(study, values, cause):
    place = provenance.sidecar_path(RECORD)
    place.write_text(json.dumps(provenance.read(RECORD) | values))
    with pytest.raises(UnblindError, match=cause):
        trace.trace(RECORD)


def test_a_circle_of_sidecars_and_control_characters_do_no_harm(study):
    values = provenance.read(RECORD)
    values |= {"inputs": {str(RECORD): sha256(RECORD), "a\x1b[2Jb": "0" * 64}}
    provenance.sidecar_path(RECORD).write_text(json.dumps(values))
    text = tree.render(trace.trace(RECORD))
    assert f"{RECORD}  sha256 {sha256(RECORD)[:12]} (see above)" in text
    assert "a?[2Jb" in text and "\x1b" not in text
