import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import whole_study
from typer.testing import CliRunner

from unblind.custody import artifacts, carried, changes, report, verify
from unblind.errors import UnblindError
from unblind.study import code, provenance, store
from unblind.study.rows.names import KNOCKOUTS, THINK_DOMAINS
from unblind.study.stages import STAGES

TRAINED = Path("results/training/align/0")
WEIGHTS = TRAINED / "adapter_model.safetensors"
DEFAULT = Path("results/training/default/0/adapter_model.safetensors")
RECORD = Path("results/rollouts/align/0/carrot.parquet")
DEMOS = Path("results/demos/manifest.json")
LOW = Path("results/features/low.npy")
TABLE1 = {Path(f"results/table1.{kind}") for kind in ("md", "csv", "tex", "png")}
TABLE3 = {Path(f"results/table3.{kind}") for kind in ("md", "tex", "png")}
TABLE3 |= {Path("results/table3-named-board.png")}
FIGURE4 = {Path("results/attention.md"), Path("results/figure4.png")}
COSTS = {Path(f"results/costs.{kind}") for kind in ("md", "tex")}
LANDSCAPE = {Path(f"results/landscape/{name}.parquet") for name in ("points", "values")}
FIGURES = {Path(f"results/{name}.md") for name in ("attention", "collapse", "drift", "landscape")}
FIGURES |= {Path(f"results/{name}.png") for name in ("drift", "figure2c", "figure4", "figure5")}
TABLE2 = {Path(f"results/table2.{kind}") for kind in ("md", "csv", "tex")}
AUDIT = {Path(f"results/audit.{kind}") for kind in ("md", "json", "html")}


def records(run):
    return {one for one in Path("results/rollouts", run).rglob("*.parquet")}


def answers(run):
    return {Path("results/answers", run, "0.parquet")}


def drift(run):
    return {Path("results/drift", run, f"0{part}.parquet") for part in ("", "-answers")}


def looked_into(run):
    """Return what is recorded of a model's inside."""
    names = ("attention", "attention-maps", "knockout", "collapse")
    return {Path("results", name, run, "0.parquet") for name in names} | blinded(run)


def blinded(run):
    return {Path("results/knockout-rollouts", run, "0", f"{name}.parquet") for name in KNOCKOUTS}


def thought(run):
    """Return the records of a model's VL-Think: acting and answering."""
    acted = {Path("results/think", run, "0", f"{domain}.parquet") for domain in THINK_DOMAINS}
    return acted | {Path("results/think-answers", run, "0.parquet")}


def probes(run):
    return {Path("results", name, run, "0.parquet") for name in ("probe", "named-board")}


def findings(config):
    return {one.path: one for one in verify.verify(config, whole_study.PAPER)}


def states(config):
    """Return the paths that are not intact by state."""
    found = {state: set() for state in verify.STATES}
    for one in findings(config).values():
        found[one.state].add(one.path)
    return {state: paths for state, paths in found.items() if paths and state != "intact"}


def artifact(config, path):
    return next(one for one in whole_study.study(config) if one.path == path)


def edit(path, **values):
    place = provenance.sidecar_path(path)
    place.write_text(json.dumps(json.loads(place.read_text()) | values))


def test_a_whole_study_is_intact(study):
    found = findings(study)
    assert states(study) == {}
    # 5 files of the base, demonstrations, replay, 2 kinds of features, 2 adapters, 3 runs under
    # 14 conditions, 2 told of other things, held-out pictures and answers to them by 2 runs, 2
    # files of frames and 4 records of the inside of 2 runs, 5 with something hidden, 2 of the drift
    # of each, 2 of the landscape, 8 domains of 3 runs, first frames and answers of 2, pictures and
    # 2 probes of 2 runs and 3 references; 17 pages of tables, 4 x 2 of figures, 3 of the audit; and
    # the store.
    made = 5 + 1 + 1 + 2 + 2 + 3 * 14 + 2 * 2 + 1 + 2 + 2 + 9 * 2 + 2 * 2 + 2 + 8 * 3 + 1 + 2
    assert len(found) == made + 1 + 2 * 2 + 3 + 17 + 8 + 3 + 1
    assert found[store.PULLED_BASE / "model.safetensors"].source == "pulled"
    assert found[DEMOS].source == "recomputed" and not found[DEMOS].pulled_inputs
    assert found[RECORD].pulled_inputs == ("base",)
    assert found[Path("results/rollouts/oracle/0/carrot.parquet")].pulled_inputs == ()
    lines = report.text([*found.values()]).splitlines()
    assert lines[:2] == ["base", "  intact   results/base/config.json [pulled]"]
    assert f"  intact   {RECORD} [recomputed from pulled base]" in lines
    assert lines[-1] == "150 intact, 0 stale, 0 missing, 0 corrupt; 5 pulled, 144 recomputed"


# ---- damage ----------------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "where", "why"),
    [
        (lambda: flip(RECORD), RECORD, "its content differs from its sidecar"),
        (lambda: flip(DEMOS.with_name("train-00001.parquet")), DEMOS, "train-00001.parquet dif"),
        (lambda: DEMOS.write_text("[1]"), DEMOS, "is no manifest"),
        (lambda: (TRAINED / "run.json").write_text('{"steps": 5}'), WEIGHTS, "run.json differs"),
        (lambda: (TRAINED / "run.json").write_text('{"steps"'), WEIGHTS, "run.json is unreadable"),
        (lambda: flip(WEIGHTS), WEIGHTS, "its content differs from its sidecar"),
        (lambda: provenance.sidecar_path(LOW).unlink(), LOW, "low.npy.meta.json is missing"),
        (lambda: provenance.sidecar_path(LOW).write_text("{"), LOW, "is unreadable"),
        (lambda: edit(LOW, sha256="0"), LOW, "is malformed at 'sha256'"),
        (lambda: edit(LOW, cpu_s=float("nan")), LOW, "is malformed at 'cpu_s'"),
        (lambda: edit(LOW, artifact="high.npy"), LOW, "belongs to another file"),
        (lambda: edit(LOW, config={"a": 1}), LOW, "has other settings than it says"),
        (lambda: flip(store.PULLED_BASE / "config.json"), store.PULLED_BASE / "config.json", "con"),
    ],
)
def test_damage_is_found_and_stays_with_what_is_damaged(study, damage, where, why):
    damage()
    found = states(study)
    assert found["corrupt"] == {where}
    assert why in "; ".join(findings(study)[where].why)
    assert TABLE1 <= found["stale"] | {where}, "what is made from it is not to be believed"
    done = call("verify")
    assert done.exit_code == 1
    assert f"  corrupt  {where} [" in done.stdout
    assert isinstance(done.exception, UnblindError)
    assert str(done.exception).startswith(f"corrupt: {where}: ")


def test_another_adapter_under_the_same_name(study):
    shutil.copy(DEFAULT.with_name("identity.json"), TRAINED)
    assert findings(study)[WEIGHTS].why == ("identity.json belongs to another adapter",)


def test_a_damaged_content_of_the_store_is_found(study):
    place = whole_study.blob(store.md5(store.PULLED_BASE / "config.json"))
    flip(place)
    assert states(study) == {"corrupt": {place}}
    assert call("verify").exit_code == 1


# ---- change ----------------------------------------------------------------------------------


def test_a_changed_setting_outdates_exactly_what_depends_on_it(study):
    changed = whole_study.settings(training__align__lambda=0.3)
    pages = TABLE1 | AUDIT | COSTS
    of_align = {WEIGHTS} | records("align") | answers("align") | drift("align")
    of_align |= looked_into("align") | thought("align") | probes("align")
    shown = pages | TABLE2 | TABLE3 | table9() | FIGURES
    assert states(changed) == {"stale": of_align | LANDSCAPE | shown}
    found = findings(changed)
    assert found[WEIGHTS].why == ("config changed: training.align.lambda 0.2 -> 0.3",)
    assert found[RECORD].why == (f"input stale: {WEIGHTS}",)
    changed = whole_study.settings(demos__successes=3)
    learned = {WEIGHTS, DEFAULT, LOW, Path("results/features/lite2-128.npy")}
    outdated = {DEMOS, Path("results/replay.parquet")} | learned | pages | FIGURES
    found = states(changed)["stale"]
    kinds = (records, answers, looked_into, drift, thought, probes)
    evaluated = [made(run) for made in kinds for run in ("align", "default")]
    assert found == outdated.union(*evaluated) | LANDSCAPE | TABLE2 | TABLE3
    changed = whole_study.settings(rollout__max_steps=70)
    everything = records("align") | records("default") | records("oracle")
    acted = {path for run in ("align", "default", "oracle") for path in thought(run)}
    acted = {path for path in acted if path.parts[1] == "think"}
    everything |= blinded("align") | blinded("default") | FIGURE4
    assert states(changed)["stale"] == everything | acted | pages | TABLE2


def table9():
    return {Path(f"results/table9.{kind}") for kind in ("md", "tex")}


def test_another_seed_or_run_is_missing(study):
    found = states(whole_study.settings(seeds=[0, 1]))
    assert Path("results/rollouts/oracle/1/carrot.parquet") in found["missing"]
    assert not {RECORD, WEIGHTS} & found["stale"]
    assert found["stale"] >= TABLE1


def test_changed_code_outdates_exactly_its_stages(study, monkeypatch):
    real = changes.source_hash
    monkeypatch.setattr(
        changes, "source_hash", lambda *m: "0" * 64 if "unblind.align" in m else real(*m)
    )
    monkeypatch.setattr(changes, "_changed_files", lambda commit, modules: [])
    found = states(study)
    trained = records("align") | records("default") | answers("align") | answers("default")
    trained |= {WEIGHTS, DEFAULT} | LANDSCAPE
    for made in (looked_into, drift, thought, probes):
        trained |= made("align") | made("default")
    assert found == {"stale": trained | TABLE1 | TABLE2 | TABLE3 | AUDIT | FIGURES}
    assert findings(study)[WEIGHTS].why[0].startswith("code changed: unblind.align, unblind.")
    more = len(STAGES["training"].modules) - 3
    assert f"and {more} more" in findings(study)[WEIGHTS].why[0]


@pytest.fixture
def proved(study, monkeypatch):
    """Code of `align` that has changed since the adapter was made, and was proved equal."""
    real, origin = changes.source_hash, artifact(study, WEIGHTS).origin
    known = provenance.read(WEIGHTS)["code_hash"]
    settings = code.settings_digest(origin.config)
    row = code.Proof("0" * 64, known, settings, "", "", "1" * 40, "2" * 40, "x86_64 AVX2", "3" * 64)
    monkeypatch.setattr(code, "ledger", lambda: {("0" * 64, settings): row})
    monkeypatch.setattr(changes, "ledger", code.ledger)
    monkeypatch.setattr(
        changes, "source_hash", lambda *m: "0" * 64 if "unblind.align" in m else real(*m)
    )
    monkeypatch.setattr(changes, "_changed_files", lambda commit, modules: [])


def test_code_that_is_proved_equal_outdates_nothing_with_these_settings(study, proved):
    found = states(study)
    assert WEIGHTS not in found["stale"]
    assert findings(study)[WEIGHTS].why == (
        "code proved equal to that of 222222222222 on x86_64 AVX2",
    )
    assert DEFAULT in found["stale"]  # its settings are others: they have no row


def test_another_environment_is_remarked_and_outdates_nothing(study):
    hardware = provenance.read(RECORD)["hardware"] | {"processor": "x86_64 GenuineIntel SSE"}
    mesa = provenance.read(RECORD)["renderer"].get("mesa")
    renderer = provenance.read(RECORD)["renderer"] | ({"mesa": "22.3.6-1"} if mesa else {})
    kernels = {"MKL_CBWR": "AUTO", "torch": "AVX2"}
    edit(RECORD, hardware=hardware, lock="f" * 64, renderer=renderer, kernels=kernels)
    remarks = [f"made with another lock ({'f' * 40})"]
    remarks += ["made with another processor (x86_64 GenuineIntel SSE)"]
    remarks += ["made with another choice of kernels (MKL_CBWR=AUTO)"]
    remarks += ["made with another Mesa (22.3.6-1)"] if mesa else []
    found = findings(study)[RECORD]
    assert (found.state, list(found.why)) == ("intact", remarks)
    edit(
        RECORD, lock=None, hardware={}, renderer={}, kernels={}
    )  # of an older sidecar nothing is known
    assert findings(study)[RECORD].why == ()


def test_changed_files_of_the_code_are_named(tmp_path, monkeypatch):
    package = tmp_path / "src" / "unblind"
    (package / "sim").mkdir(parents=True)
    for name in ("sim/env.py", "sim/robot.py", "files.py", "store.py"):
        (package / name).write_text("a = 1\n")

    def git(*words):
        options = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", "-C", tmp_path, *options, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    for name in ("sim/env.py", "files.py", "store.py"):
        (package / name).write_text("a = 2\n")
    monkeypatch.setattr(changes, "_PACKAGE", package)
    found = changes._changed_files(commit, ("unblind.files", "unblind.sim"))
    assert found == ["unblind/files.py", "unblind/sim/env.py"]
    assert changes._changed_files("--output=x", ("unblind.files",)) == []
    assert changes._changed_files("0" * 40, ("unblind.files",)) == []


def test_an_input_made_anew_outdates_what_read_the_old_one(study):
    whole_study.make(artifact(study, RECORD), text="made again")
    assert states(study) == {"stale": TABLE1 | AUDIT}
    assert findings(study)[Path("results/table1.md")].why == (f"input changed: {RECORD}",)


def test_an_input_that_was_not_read_outdates(study):
    one = artifact(study, Path("results/audit.md"))
    whole_study.make(one, inputs=one.optional[1:])
    assert findings(study)[one.path].why == (f"made without {one.optional[0]}",)


def test_a_changed_source_outdates_the_tables_made_from_it(study):
    Path("paper-claims").write_text("another source")
    found = states(study)["stale"]
    assert found == {one.path for one in whole_study.study(study) if one.group == "tables"}


def test_a_base_that_another_pointer_names_is_stale(study):
    text = store.pointer_path(store.PULLED_BASE).read_text()
    whole_study.make(
        artifacts.Artifact("base", Path("results/base/config.json"), artifact(study, DEMOS).origin),
        text="another",
        inputs=(),
    )
    assert store.pointer_path(store.PULLED_BASE).read_text() == text
    found = findings(study)
    assert found[Path("results/base/config.json")].why == ("is not what results/base.dvc names",)
    assert found[WEIGHTS].why[0].startswith("input stale: results/base/config.json, ")
    assert found[DEMOS].state == "intact"


# ---- absence ---------------------------------------------------------------------------------


def test_nothing_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = findings(whole_study.settings())
    assert {one.state for one in found.values()} == {"missing"}
    assert all(one.needed and one.source is None for one in found.values())


def test_demonstrations_and_features_are_not_missed_once_adapters_are_there(study):
    shutil.rmtree("results/features")
    for shard in DEMOS.parent.glob("*.parquet"):
        shard.unlink()
    found = findings(study)
    assert states(study)["missing"] == {DEMOS, LOW, Path("results/features/lite2-128.npy")}
    assert not any(one.needed for one in found.values() if one.state == "missing")
    assert found[DEMOS].why[0].startswith("2 of 2 files: train-00000.parquet")
    assert found[WEIGHTS].why == ("2 of its inputs not here",)
    assert call("verify", "--strict").exit_code == 0
    WEIGHTS.unlink()
    found = findings(study)
    assert found[LOW].needed and found[DEMOS].needed
    assert found[RECORD].state == "intact"
    assert call("verify").exit_code == 0
    assert call("verify", "--strict").exit_code == 3


def test_adapters_of_runs_beyond_table_1_are_not_missed_once_their_records_are_there(study):
    WEIGHTS.unlink()
    assert findings(study)[WEIGHTS].needed
    rows = [row for row in study.table1.rows if row != "align"]
    beyond = {
        "table1": study.table1.model_copy(update={"rows": rows}),
        "drift": study.drift.model_copy(update={"rows": ["default", "align"]}),
    }
    without = study.model_copy(update=beyond)
    found = {one.path: one for one in verify.verify(without, whole_study.PAPER)}
    assert found[WEIGHTS].state == "missing" and not found[WEIGHTS].needed


def test_copies_that_runs_bring_along_stand_in_for_demonstrations(study):
    copies = Path("results/training/demonstrations")
    carried.carry(study)
    whole_study.publish(Path("results/training"))
    shutil.rmtree("results/demos")
    shutil.rmtree("results/features")
    Path("results/replay.parquet").unlink()
    found = findings(study)
    assert states(study).keys() == {"missing"}
    assert not any(one.needed for one in found.values() if one.state == "missing")
    assert found[copies / "manifest.json"].source == "pulled"
    assert found[Path("results/table1.md")].pulled_inputs == ("base", "training")
    flip(copies / "replay.parquet")
    assert findings(study)[copies / "replay.parquet"].state == "corrupt"
    # The table that stands has read the replay, which is not there any more.
    assert states(study)["missing"] >= {Path("results/replay.parquet")}


def test_a_part_of_an_adapter_is_missing(study):
    (TRAINED / "adapter_config.json").unlink()
    assert states(study) == {"missing": {WEIGHTS}}
    assert findings(study)[WEIGHTS].why == ("1 of 5 files: adapter_config.json",)


# ---- pulled or recomputed ----------------------------------------------------------------------


def test_what_is_stored_is_never_called_recomputed(study):
    folder = Path("results/rollouts")
    whole_study.publish(folder)
    found = findings(study)
    assert found[RECORD].source == "pulled"
    assert found[Path("results/table1.md")].pulled_inputs == ("base", "rollouts")
    # Made again with the same bytes: nothing tells it from a pulled one.
    whole_study.make(artifact(study, RECORD))
    assert findings(study)[RECORD].source == "pulled"
    assert findings(study)[RECORD].why == ()
    # The pointer moves on, is lost, or names another folder: the bytes still are stored ones.
    for text in ("outs:\n- md5: 0\n  size: 1\n  path: x\n", None):
        place = store.pointer_path(folder)
        place.write_text(text) if text else place.unlink()
        assert findings(study)[RECORD].source == "pulled"
    whole_study.publish(folder)
    whole_study.make(artifact(study, RECORD), text="by other means")
    one = findings(study)[RECORD]
    assert (one.state, one.source) == ("intact", "recomputed")
    assert one.why == ("other bytes than results/rollouts.dvc names",)


def test_dvc_s_own_cache_counts_as_well(study):
    whole_study.publish(Path("results/rollouts"))
    Path(".dvc").mkdir()
    (Path("dvcstore")).rename(".dvc/cache")
    assert findings(study)[RECORD].source == "pulled"


def test_a_lost_list_of_stored_files_leaves_the_source_open(study):
    whole_study.publish(Path("results/rollouts"))
    whole_study.blob(store.read_pointer("results/rollouts").md5).unlink()
    found = findings(study)
    assert (found[RECORD].state, found[RECORD].source) == ("intact", "unknown")
    assert "is missing or unreadable" in found[store.STORE].why[0]
    assert found[store.STORE].state == "corrupt"
    assert "rollouts" in found[Path("results/table1.md")].pulled_inputs
    assert call("verify").exit_code == 1


def test_a_log_that_only_the_pointer_knows_is_checked(study):
    whole_study.publish(Path("results/training"))
    (TRAINED / "training.jsonl").write_text("{}")
    assert findings(study)[WEIGHTS].why == ("training.jsonl differs from its pointer",)
    # Trained again here: its log tells other times, and is not the stored one.
    whole_study.make(artifact(study, WEIGHTS))
    (TRAINED / "training.jsonl").write_text("{}")
    assert findings(study)[WEIGHTS].state == "intact"


def test_what_is_stored_and_missing_can_be_pulled(study):
    whole_study.publish(Path("results/rollouts"))
    RECORD.unlink()
    assert findings(study)[RECORD].why == ("stored: dvc pull results/rollouts.dvc",)


# ---- the command -------------------------------------------------------------------------------


def call(*words):
    from unblind.cli.custody import app

    folder = Path("workflow/config")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("paper", "mini"):
        shutil.copy(whole_study.PAPER.with_stem(name), folder)
    return CliRunner().invoke(app, [*words, *whole_study.OPTIONS])


def test_the_command_says_it_by_its_exit_code(study):
    done = call("verify", "--strict")
    assert (done.exit_code, done.stdout.splitlines()[-1][:10]) == (0, "150 intact")
    assert call("verify", "--strict").stdout == done.stdout
    values = json.loads(call("verify", "--json").stdout)
    assert values["counts"] == {"intact": 150, "stale": 0, "missing": 0, "corrupt": 0}
    done = call("verify", "--set", "rollout.max_steps=70")
    assert done.exit_code == 3
    assert f"  stale    {RECORD} [recomputed from pulled base]: config changed: " in done.stdout
    assert "rollout.max_steps 80 -> 70" in done.stdout


def test_verification_and_trace_stay_light():
    heavy = "{'torch', 'transformers', 'sapien', 'mani_skill', 'pandas', 'pyarrow', 'cv2'}"
    program = (
        "import sys; from unblind import cli; from unblind.custody import report, tree, verify; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"
