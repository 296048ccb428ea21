"""Publishing in a small repository: what it refuses, and that a failure changes nothing.

What the workflow and `unblind verify` say of results is replaced here; tests/test_pulled.py
publishes a whole study.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import synthetic

from unblind.config import load
from unblind.custody import carried, publish
from unblind.custody.artifacts import Artifact
from unblind.custody.verify import Finding
from unblind.errors import UnblindError
from unblind.study import jobs, store
from unblind.study.making import Origin
from unblind.study.rows.names import MANIFEST, MODEL_FILES, RUN_FILES
from unblind.study.stages import STAGES

ROOT = Path(__file__).parents[2]
CONFIG = load(ROOT / "workflow" / "config" / "smoke.yaml")
SETTINGS = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "results/.gitignore")
RUN = Path("results/training/default/0")
RECORD = Path("results/rollouts/default/0/plate.parquet")
PAGE = Path("results/table1.md")
ORIGIN = Origin({}, (), ())


def git(*words):
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def listed():
    weights, *beside = (RUN / name for name in RUN_FILES)
    return [
        *(Artifact("base", store.PULLED_BASE / name, None) for name in MODEL_FILES),
        Artifact("training", weights, ORIGIN, tuple(beside)),
        Artifact("rollouts", RECORD, ORIGIN),
        Artifact("tables", PAGE, ORIGIN),
    ]


def write(path, text="something"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def record(name):
    """Write what Snakemake would write about an output."""
    encoded = base64.urlsafe_b64encode(name.encode()).decode()
    values = {"rule": "made_up", "shellcmd": "/home/me/bin/python", "code": "x", "params": ["1"]}
    write(Path(".snakemake/metadata", encoded), json.dumps(values))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with results of every kind, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "a")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@b.c")
    for name in SETTINGS:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, name)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "settings")
    synthetic.write_base(store.PULLED_BASE)
    store.add(store.PULLED_BASE)
    for path in (*(RUN / name for name in RUN_FILES), PAGE):
        write(path)
    write(RECORD, "one record")
    for one in listed():
        for path in publish._outputs(one):
            record(path.as_posix())
    monkeypatch.setattr(publish, "study", lambda config, paper: listed())
    monkeypatch.setattr(publish, "verify", lambda config, paper: [])
    monkeypatch.setattr(publish, "_check_nothing_to_do", lambda config: None)
    return tmp_path


def run():
    return publish.publish(CONFIG, Path("paper.yaml"))


def state():
    """All that publishing may change, and git's view of it."""
    places = [Path("dvcstore"), Path("paper"), *Path("results").glob("*.dvc")]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    kept = {path: path.read_bytes() for path in files}
    kept |= {path: path.read_bytes() for path in publish.METADATA.glob("*")}
    return kept, git("status", "--porcelain"), git("rev-parse", "HEAD")


def test_results_are_published_in_one_commit(checkout):
    write(RUN / "snapshots" / "000125.safetensors")
    write(RUN / "checkpoint.safetensors")
    write(RECORD.with_name(".plate.journal"))
    done = run()
    assert done.commit == git("rev-parse", "HEAD").strip()
    assert done.pages == (Path("paper/published/table1.md"),)
    assert done.sizes[publish.ROLLOUTS] == len("one record")
    assert done.sizes[publish.TRAINING] == len(RUN_FILES) * len("something")
    names = git("ls-files").split()
    assert {"results/training.dvc", "results/rollouts.dvc", "results/base.dvc"} <= set(names)
    assert sum(name.startswith(".snakemake/") for name in names) == 4 + 5 + 1
    assert git("status", "--porcelain") == ""
    for path in publish.METADATA.glob("*"):
        values = json.loads(path.read_text())
        assert (values["shellcmd"], values["code"], values["params"]) == (None, None, ["1"])
    assert run().commit is None, "there is nothing new"

    # A run that is made again replaces the old one in store and pages.
    write(RECORD, "other")
    PAGE.rename("results/table2.md")
    old = blobs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "study", lambda *_: [*listed()[:-1], second_table()])
        run()
    assert [path.name for path in publish.PAGES.iterdir()] == ["table2.md"]
    assert len(blobs() - old) == len(old - blobs()) == 2, "the record and the list of records"
    assert git("status", "--porcelain") == ""


def blobs():
    return {path for path in Path("dvcstore").rglob("*") if path.is_file()}


def second_table():
    return Artifact("tables", Path("results/table2.md"), ORIGIN)


def fail_to_push(patch):
    push = store.push

    def broken(*targets, **options):
        push(*targets, **options)
        raise UnblindError("dvc push failed")

    patch.setattr(store, "push", broken)
    return "dvc push failed"


def refuse_to_commit(patch):
    hook = Path(".git/hooks/pre-commit")
    write(hook, "#!/bin/sh\necho no such thing >&2\nexit 1\n")
    hook.chmod(0o755)
    return "git commit failed: no such thing"


def test_what_a_clone_could_not_render_pages_without_is_stored():
    kept = [s for s in STAGES.values() if not (s.page or s.scratch or s.group in ("base", "store"))]
    folders = {Path(output).parts[1] for stage in kept for output in stage.outputs}
    # Answers of other people's models need a GPU and their weights: nobody has published any.
    assert folders - {"answerers"} <= {target.name for target in publish.TARGETS}


@pytest.mark.parametrize("failure", [fail_to_push, refuse_to_commit])
@pytest.mark.parametrize("first", [True, False])
def test_a_failure_changes_nothing(checkout, monkeypatch, failure, first):
    if not first:
        run()
        write(RECORD, "other")
        write(PAGE, "other")
    before = state()
    words = failure(monkeypatch)
    with pytest.raises(UnblindError, match=words):
        run()
    assert state() == before


def uncommitted():
    write("src/module.py")
    return r"src/module\.py not committed"


def foreign_run():
    write("results/training/ablation/0/run.json")
    return r"ablation/0/run\.json is no result of this study"


def too_large():
    with open(RECORD, "wb") as handle:
        handle.truncate(5_000_001)
    return r"results/rollouts: 5,000,001 bytes, more than 5,000,000"


def unrecorded():
    encoded = base64.urlsafe_b64encode(RECORD.as_posix().encode()).decode()
    (publish.METADATA / encoded).unlink()
    return r"Snakemake has no record of results/rollouts/default/0/plate\.parquet"


def no_repository():
    shutil.rmtree(".git")
    os.environ["GIT_CEILING_DIRECTORIES"] = str(Path.cwd().parent)
    return r"git status failed: .*not a git repository"


@pytest.mark.parametrize("spoil", [uncommitted, foreign_run, too_large, unrecorded, no_repository])
def test_what_cannot_be_published_is_refused(checkout, monkeypatch, spoil):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "")
    words = spoil()
    with pytest.raises(UnblindError, match=words):
        run()
    assert [path.name for path in Path("results").glob("*.dvc")] == ["base.dvc"]
    assert not Path("dvcstore").exists()
    assert not publish.PAGES.exists()


@pytest.mark.parametrize("state", ["stale", "missing", "corrupt"])
def test_what_verify_finds_is_refused(checkout, monkeypatch, state):
    scratch = Finding("demos", Path("results/demos/manifest.json"), "missing", needed=False)
    found = Finding("rollouts", RECORD, state, ("a reason",))
    monkeypatch.setattr(publish, "verify", lambda *_: [scratch, found])
    with pytest.raises(UnblindError, match=rf"plate\.parquet is {state} \(a reason\)"):
        run()


def test_results_elsewhere_are_refused():
    with pytest.raises(UnblindError, match="results lie in other"):
        publish.publish(CONFIG.model_copy(update={"results": "other"}), Path("paper.yaml"))


# ---- what demonstrations were ----------------------------------------------------------------


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Demonstrations and their replay, in the working folder."""
    monkeypatch.chdir(tmp_path)
    synthetic.write_demos(CONFIG, jobs.demos_folder(CONFIG))
    manifest = jobs.demos_folder(CONFIG) / MANIFEST
    synthetic.write_replay(CONFIG, carried.own_replay(CONFIG), [manifest])
    return jobs.demos_folder(CONFIG), carried.own_replay(CONFIG)


def test_copies_stand_in_for_demonstrations_that_are_not_there(study):
    demos, replay = study
    copies = carried.folder(CONFIG)
    assert carried.sources(CONFIG) == (demos, replay)
    carried.carry(CONFIG)
    assert sorted(path.name for path in copies.iterdir()) == sorted(carried.names())
    assert carried.sources(CONFIG) == (demos, replay), "originals come first"
    replay.unlink()
    assert carried.sources(CONFIG) == (demos, copies / "replay.parquet")
    shutil.rmtree(demos)
    assert carried.sources(CONFIG) == (copies, copies / "replay.parquet")


@pytest.mark.parametrize(
    ("change", "manifest", "replay"),
    [
        ({"demos.attempts_per_slot": 9}, False, False),
        ({"replay.episodes": 1}, True, False),
        ({"rollout.episodes": 3}, True, True),
    ],
)
def test_copies_made_with_other_settings_do_not(study, change, manifest, replay):
    demos, record = study
    carried.carry(CONFIG)
    shutil.rmtree(demos)
    record.unlink()
    copies = carried.folder(CONFIG)
    changed = load(ROOT / "workflow" / "config" / "smoke.yaml", change)
    wanted = (copies if manifest else demos, copies / "replay.parquet" if replay else record)
    assert carried.sources(changed) == wanted


def test_damaged_copies_do_not(study):
    demos, record = study
    carried.carry(CONFIG)
    shutil.rmtree(demos)
    record.unlink()
    copies = carried.folder(CONFIG)
    (copies / "manifest.json").write_text("{}")
    assert carried.sources(CONFIG) == study
    (copies / "manifest.json.meta.json").unlink()
    assert carried.sources(CONFIG) == study
