"""The Workflow Run RO-Crate of a made-up study: conformance, completeness, refusals."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import crate_profile
import pytest
import synthetic
from crate_profile import Graph, problems
from rocrate.rocrate import ROCrate
from typer.testing import CliRunner

from unblind.cli import app
from unblind.config import load
from unblind.custody import carried
from unblind.custody.crate.export import export
from unblind.custody.crate.steps import read_steps
from unblind.errors import UnblindError
from unblind.files import write_json, write_text
from unblind.report.table1 import table1
from unblind.study import jobs, making
from unblind.study.jobs import Job, Origin
from unblind.study.rows.names import MODEL_FILES
from unblind.study.stages import STAGES
from unblind.study.store import PULLED_BASE

ROOT = Path(__file__).parents[2]
CONFIG, PAPER = (Path("workflow", "config", f"{name}.yaml") for name in ("smoke", "paper"))
RUNS = ("default", "base", "oracle", "random", "noop")  # of smoke.yaml
ACTING = ("default", "base")


def fill(config):
    """Write what a study of the smoke configuration leaves, without simulator and training."""
    synthetic.write_base(PULLED_BASE)
    base = [PULLED_BASE / name for name in MODEL_FILES]
    making.make(base, Origin({}, STAGES["robot"].modules, (), 0), lambda: None)
    synthetic.write_demos(config, jobs.demos_folder(config))
    low = jobs.path(config, "features_low")
    (jobs.demos_folder(config) / "shard-000.parquet").write_bytes(b"large")
    making.run(Job(config, "features_low"), lambda: write_text(low, "low"))
    synthetic.write_replay(config, Path(config.results, "replay.parquet"))
    train(config, "default")
    for run in RUNS:
        folder = Path(config.results, "rollouts", run, "0")
        synthetic.write_records(config, run, 0, folder, {"carrot": 2} if run == "oracle" else {})
    inputs = (Path(config.results, "rollouts"), jobs.demos_folder(config))
    table1(config, *inputs, Path(config.results, "replay.parquet"), Path(config.results, "table1"))


def train(config, name):
    job = Job(config, "training", name, 0)

    def work():
        for path in (*job.outputs, *job.beside):
            write_json(path, {"training_seed": 0})

    making.run(job, work)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository with a finished study."""
    folder = tmp_path_factory.mktemp("a study")
    for name in ("workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Snakefile", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # As in a checkout, where the claims lie in the working folder.
        patch.setattr("unblind.report.table1.PAPER", folder / "paper")
        fill(load(CONFIG))
    return folder


@pytest.fixture
def study(made, tmp_path, monkeypatch):
    """A copy of it, in which the test runs."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return load(CONFIG)


def metadata(folder):
    return json.loads(Path(folder, "ro-crate-metadata.json").read_text())


@pytest.fixture(scope="module")
def crate(made, tmp_path_factory):
    """The study's crate."""
    out = tmp_path_factory.mktemp("out") / "crate"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        export(load(CONFIG), PAPER, out)
    return out


@pytest.fixture(scope="module")
def graph(crate):
    return Graph(metadata(crate))


def test_it_conforms_to_the_profiles(crate):
    assert problems(metadata(crate), crate) == []


def spoiled(document, name):
    document = copy.deepcopy(document)
    entity = {one["@id"]: one for one in document["@graph"]}
    if name == "no tool":
        entity["Snakefile#rollout"].pop("workExample")
    if name == "no instrument":
        entity["#call-2"].pop("instrument")
    if name == "unknown result":
        entity["#call-2"]["result"] = {"@id": "nothing"}
    if name == "profile":
        entity["./"]["conformsTo"] = []
    if name == "control":
        entity["#organize"]["object"] = entity["#organize"]["object"][1:]
    if name == "undescribed file":
        document["@graph"].remove(entity["results/table1.md"])
    return document


SPOILS = ("no tool", "no instrument", "unknown result", "profile", "control", "undescribed file")


def test_the_validator_of_the_profiles_finds_nothing(crate):
    """The variables name a Python that has roc-validator, and a folder with the two contexts."""
    python = os.environ.get("UNBLIND_VALIDATOR_PYTHON")
    if not python:
        pytest.skip("UNBLIND_VALIDATOR_PYTHON names no Python with roc-validator")
    program = Path(__file__).with_name("with_validator.py")
    contexts = filter(None, [os.environ.get("UNBLIND_VALIDATOR_CONTEXTS")])
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, program, crate, *contexts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 problems, 0 checks skipped") == 4


@pytest.mark.parametrize("name", SPOILS)
def test_the_check_of_conformance_finds(crate, name):
    assert problems(spoiled(metadata(crate), name), crate)


def test_every_file_has_its_size_and_checksum(crate, graph, made):
    files = graph.of_type("File")
    assert len(files) > 100
    for entity in files:
        path = crate / unquote(entity["@id"])
        data = path.read_bytes()
        assert entity["contentSize"] == str(len(data)), path
        assert entity["sha256"] == hashlib.sha256(data).hexdigest(), path
        if path.name != "study.json":
            assert data == (made / unquote(entity["@id"])).read_bytes()


def calls_of(graph):
    return [a for a in graph.of_type("CreateAction") if a["@id"].startswith("#call-")]


def test_every_call_is_an_action(graph):
    tools = [graph.linked(call, "instrument")[0] for call in calls_of(graph)]
    once = ("base-warm-up", "demos", "replay", "features-low", "train", "table1")
    wanted = {f"#unblind-{name}": 1 for name in once} | {"#unblind-rollout": len(RUNS)}
    wanted["#unblind-rollout---arms"] = len(ACTING)
    assert {tool: tools.count(tool) for tool in tools} == wanted
    steps = [step["name"] for step in graph.of_type("HowToStep")]
    # The base was pulled: its making is told of, but the study has not done it.
    assert steps == [
        "demos",
        "replay",
        "features_low",
        "training",
        "rollout",
        "arms",
        "table1",
    ]
    assert len(graph.of_type("ControlAction")) == len(calls_of(graph)) - 1


def test_actions_say_what_the_sidecars_say(graph, made):
    makers = {name: call for call in calls_of(graph) for name in graph.linked(call, "result")}
    sidecars = sorted(made.glob("results/**/*.meta.json"))
    assert len(sidecars) == 4 + 1 + 1 + 1 + 1 + len(RUNS) * 14 + len(ACTING) * 2 + 4
    for place in sidecars:
        meta = json.loads(place.read_text())
        name = place.relative_to(made).as_posix().removesuffix(".meta.json")
        name = name if name in makers else f"#sha256-{meta['sha256']}"
        assert graph.entities[name]["sha256"] == meta["sha256"]
        call = makers[name]
        read = [graph.entities[one] for one in graph.linked(call, "object")]
        hashes = sorted(one["sha256"] for one in read if "sha256" in one)
        assert hashes == sorted(set(meta["inputs"].values()))
        settings = next(one["value"] for one in read if one.get("name") == "settings")
        assert json.loads(settings) == meta["config"]
        assert meta["commit"] in call["description"] and meta["code_hash"] in call["description"]
        assert datetime.fromisoformat(call["startTime"]) <= datetime.fromisoformat(meta["started"])
        about = graph.entities[place.relative_to(made).as_posix()]
        assert about["about"]["@id"] == name


def test_costs_of_records_add_up_and_those_of_one_call_do_not(made, monkeypatch):
    monkeypatch.chdir(made)
    for step in read_steps(load(CONFIG), PAPER):
        costs = [meta.cpu_s for _, meta in step.made]
        if step.job.rule == "rollout":
            assert len(costs) == 14 and step.cpu_s == pytest.approx(sum(costs))
        if step.job.rule == "warm_up":
            assert len(costs) == 4 and step.cpu_s == max(costs)


def test_large_files_are_told_of_but_not_there(crate, graph):
    told = [e for e in graph.of_type("CreativeWork") if e.get("name") == "results/features/low.npy"]
    assert [e["sha256"] for e in told] == [hashlib.sha256(b"low").hexdigest()]
    assert not (crate / "results" / "features" / "low.npy").exists()
    assert not list(crate.rglob("shard*"))
    assert (crate / "results" / "demos" / "manifest.json").is_file()


def test_the_run_goes_from_base_and_claims_to_the_table(graph):
    run = graph.entities["#run"]
    read, made = graph.linked(run, "object"), graph.linked(run, "result")
    assert {"study.json", "results/base/model.safetensors", "paper/claims.yaml"} <= set(read)
    assert {"results/table1.md", "results/table1.csv", "results/table1.tex"} <= set(made)
    assert "results/rollouts/oracle/0/carrot.parquet" not in read + made


def test_the_same_study_gives_the_same_bytes(crate, study, tmp_path):
    result = CliRunner().invoke(app, ["crate", str(tmp_path / "again"), "--config", str(CONFIG)])
    assert result.exit_code == 0, result.output
    assert re.search(r"again: \d+ files, [\d,]+ bytes, 13 recorded calls", result.output)
    files = sorted(path.relative_to(crate) for path in crate.rglob("*") if path.is_file())
    again = tmp_path / "again"
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert all((crate / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_a_pulled_study_lacks_demonstrations_and_features(study, tmp_path):
    carried.carry(study)
    shutil.rmtree(jobs.demos_folder(study))
    shutil.rmtree("results/features")
    Path("results/replay.parquet").unlink()
    Path("results/replay.parquet.meta.json").unlink()
    export(study, PAPER, tmp_path / "out")
    found = Graph(metadata(tmp_path / "out"))
    assert problems(metadata(tmp_path / "out"), tmp_path / "out") == []
    (demos,) = (c for c in calls_of(found) if c["description"].startswith("unblind demos"))
    copied = "results/training/demonstrations/manifest.json"
    assert found.linked(demos, "result") == [copied]
    (training,) = (c for c in calls_of(found) if c["description"].startswith("unblind train"))
    assert copied in found.linked(training, "object")


def test_files_from_elsewhere_stay_there(study, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("mine")
    place = Path("results/replay.parquet.meta.json")
    meta = json.loads(place.read_text())
    checksum = hashlib.sha256(b"mine").hexdigest()
    meta["inputs"] = {str(secret): checksum, "../secret.txt": checksum}
    place.write_text(json.dumps(meta))
    export(study, PAPER, tmp_path / "out")
    told = Graph(metadata(tmp_path / "out")).entities[f"#sha256-{checksum}"]
    assert (told["@type"], told["name"]) == ("CreativeWork", "secret.txt")
    assert not list((tmp_path / "out").rglob("secret*"))
    text = (tmp_path / "out" / "ro-crate-metadata.json").read_text()
    assert str(tmp_path) not in text


def damage_record():
    Path("results/rollouts/oracle/0/carrot.parquet").write_bytes(b"other")
    return r"carrot\.parquet names another content of itself .run: unblind verify"


def change_input():
    Path("results/base/config.json").write_text("{}")
    return r"names another content of (itself|results/base/config\.json)"


def damage_sidecar():
    Path("results/replay.parquet.meta.json").write_text("{}")
    return r"replay\.parquet\.meta\.json is malformed"


def wrong_time():
    place = Path("results/replay.parquet.meta.json")
    place.write_text(json.dumps(json.loads(place.read_text()) | {"started": "yesterday"}))
    return r"malformed at 'started'"


def lose_everything():
    shutil.rmtree("results")
    return r"no results in results .run: make table1"


def lose_workflow():
    Path("Snakefile").unlink()
    return r"no Snakefile here .start the command in the repository's root"


def there_already():
    Path("out", "mine").mkdir(parents=True)
    return r"out already holds something .name a folder that is not there"


FAULTS = (damage_record, change_input, damage_sidecar, wrong_time)
FAULTS += (lose_everything, lose_workflow, there_already)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_as_recorded_is_refused(study, fault):
    words = fault()
    before = sorted(Path().rglob("*"))
    with pytest.raises(UnblindError, match=words):
        export(study, PAPER, Path("out"))
    assert sorted(Path().rglob("*")) == before


def test_results_of_other_settings_are_refused(study):
    other = load(CONFIG, {"rollout.max_steps": 7})
    words = r"oracle/0/in_distribution\.parquet was made with other settings .name its config"
    with pytest.raises(UnblindError, match=words):
        export(other, PAPER, Path("out"))
    assert not Path("out").exists()


def test_a_file_that_changes_meanwhile_is_noticed(study, monkeypatch):
    write, place = ROCrate.write, Path("results/table1.md")

    def late(crate, folder):
        place.write_text("changed")
        write(crate, folder)

    monkeypatch.setattr(ROCrate, "write", late)
    with pytest.raises(UnblindError, match=r"results/table1\.md changed meanwhile"):
        export(study, PAPER, Path("out"))
    assert not list(Path().glob("*out*"))


def test_a_full_disk_leaves_nothing(study, small_disk):
    with pytest.raises(UnblindError, match="disk full while writing"):
        export(study, PAPER, small_disk / "out")
    assert list(small_disk.iterdir()) == []


def test_profiles_are_named_alike():
    from unblind.custody.crate.export import PROFILES

    for profile in crate_profile.PROFILES:
        assert f"{profile}0.5" in PROFILES
