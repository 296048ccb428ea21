"""A finished and published study, and a clone with pulled results: what runs there.

The study is the toy study; git, DVC and Snakemake are real.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import browser
import crate_profile
import pytest
import toy_study
from toy_study import SMOKE, TABLE, jobs, python, snakemake

from unblind.config.kinds import ABLATIONS

ROLLOUTS = {"rollout": 5, "arms": 2, "held_out": 1, "answers": 3}
STORED = (
    *("answers", "attention", "attention-maps", "base", "collapse", "drift", "knockout"),
    *("knockout-rollouts", "named-board", "probe"),
    *("rollouts", "think", "think-answers", "training"),
)
#: Records by stage: Default, the base and three that are scripted act in 14 conditions; models are
#: told something else in 2 more, and act with 5 kinds of tokens hidden. Models and two planners act
#: in the 8 domains of VL-Think.
RECORDS = {
    "rollout": 5 * 14,
    "arms": 2 * 2,
    "think": 4 * 8,
    "answers": 3,
    "think_answers": 3,
    "drift": 2,
    "attention": 2 * 3,
    "collapse": 3,
    "knockout": 2 * 5,
    "probe": 3 * 2 + 3,
}
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b.c")
PUBLISH = ("unblind.cli", "publish", *toy_study.OPTIONS)
AUTHOR = toy_study.AUTHOR | {"PATH": os.environ.get("PATH", os.defpath)}


def git(folder, *words):
    command = ["git", "-C", str(folder), *IDENTITY, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The toy study, made and published."""
    folder = toy_study.make(tmp_path_factory.mktemp("a publisher's"))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "study")
    done = snakemake(folder, "--cores", "2", *SMOKE)
    assert done.returncode == 0, done.stdout
    done = python(folder, *PUBLISH, **AUTHOR)
    assert done.returncode == 0, done.stdout
    assert "commit " in done.stdout
    return folder


@pytest.fixture
def clone(published, tmp_path):
    """A fresh clone."""
    return clone_of(published, tmp_path / "a clone")


def clone_of(published, folder):
    git(published, "clone", "-q", str(published), str(folder))
    toy_study.take_compiled(published, folder)
    return folder


def pull(clone, *names):
    done = python(clone, "dvc", "pull", "-q", *(f"results/{name}.dvc" for name in names))
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def pulled(published, tmp_path_factory):
    """A clone with everything pulled; tests put back what they change."""
    folder = clone_of(published, tmp_path_factory.mktemp("a reader's") / "clone")
    pull(folder)
    return folder


@pytest.fixture
def change(pulled, published):
    """Change files of the publisher's or the reader's tree until the test is over."""
    kept = {}

    def apply(path, edit):
        kept[path] = (path.read_bytes(), path.stat())
        path.write_text(edit(path.read_text()))

    yield apply
    for path, (data, stat) in kept.items():
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# ---- publishing ------------------------------------------------------------------------------


def test_one_commit_holds_pointers_store_records_and_readers_copies(published):
    names = git(published, "show", "--name-only", "--format=%s").splitlines()
    assert names[0] == "Publish the smoke study"
    folders = {name.split("/")[0] for name in names[2:]}
    assert folders == {".snakemake", "dvcstore", "paper", "results"}
    told = {name for name in names if name.startswith("results")}
    assert told == {f"results/{name}.dvc" for name in STORED if name != "base"}
    for page in ("table1.md", "table1.csv", "table1.tex", "table9.md", "audit.md"):
        copy = published / "paper" / "published" / page
        assert copy.read_bytes() == (published / "results" / page).read_bytes()
    # What rendering alone has written down stays outside, and disturbs nobody.
    left = git(published, "status", "--porcelain", "--untracked-files=all", "--ignored")
    assert left.splitlines()
    assert {line[:2] for line in left.splitlines()} == {"!!"}
    assert "!! .snakemake/metadata/" in left


def test_committed_records_name_no_place_of_the_publisher(published):
    names = git(published, "ls-files", ".snakemake/metadata").split()
    # 5 files of the base, 1 replay, 1 feature file, 5 of the run; manifests of demonstrations, of
    # held-out and of probes' pictures; 3 files of frames.
    assert len(names) == 5 + 1 + 1 + 5 + 3 + 3 + sum(RECORDS.values())
    for name in names:
        text = (published / name).read_text()
        assert str(published) not in text
        assert "bin/python" not in text


def test_publishing_again_commits_nothing(published):
    head = git(published, "rev-parse", "HEAD")
    done = python(published, *PUBLISH, **AUTHOR)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "all of this is published already",
    )
    assert git(published, "rev-parse", "HEAD") == head


def test_stale_results_and_a_dirty_tree_are_refused(published, change):
    change(published / "src" / "unblind" / "vla" / "policy.py", lambda text: text + "x = 1\n")
    done = python(published, *PUBLISH, **AUTHOR)
    assert done.returncode == 1
    assert "src/unblind/vla/policy.py not committed" in done.stdout
    head = git(published, "rev-parse", "HEAD").strip()
    git(published, "commit", "-qam", "other code")
    try:
        done = python(published, *PUBLISH, **AUTHOR)
    finally:
        git(published, "reset", "-q", head)
    assert done.returncode == 1
    assert "jobs to run: " in done.stdout
    assert "2 rollout" in done.stdout


def test_a_corrupt_record_is_refused(published):
    place = published / "results" / "rollouts" / "noop" / "0" / "plate.parquet"
    before, stat = place.read_bytes(), place.stat()
    place.write_bytes(before[:-1] + b"x")
    os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        done = python(published, *PUBLISH, **AUTHOR)
    finally:
        place.write_bytes(before)
        os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert done.returncode == 1
    assert "noop/0/plate.parquet is corrupt" in done.stdout
    assert (published / "results" / "rollouts.dvc").is_file()


# ---- what a finished study gives away --------------------------------------------------------


def test_the_report_is_one_page_with_captions(published, tmp_path):
    out = tmp_path / "report.html"
    done = snakemake(published, "--report", str(out), *SMOKE)
    assert done.returncode == 0, done.stdout
    text = out.read_text()
    told = {
        "workflow": "at scale <strong>smoke</strong>",
        "table1": "success at the last step in percent",
        "forgetting": "drift from those of the base",
        "table2": "on which board policies put the carrot",
        "figure4": "attention of the prompt's last token to the picture",
        "figure5": "How far apart models keep objects of different classes",
        "table3": "what linear probes read",
        "table9": "hyper-parameters of fine-tuning",
        "table14": "settings of the linear probe",
        "costs": "What every stage took",
        "audit": "a verdict on every number and claim",
    }
    # A study of one trained run has no landscape, and none but their own has ablations or defects.
    captions = {path.stem for path in (published / "workflow" / "report").iterdir()}
    assert captions == {*told, "figure2c", "defects", *(f"table{number}" for number in ABLATIONS)}
    assert [words for words in told.values() if words not in text] == []
    assert "{{" not in text.partition('<script id="results">')[2].partition("</script>")[0]
    assert str(published) not in text, "no path of this machine"
    with browser.chromium(tmp_path / "profile") as page:
        page.requests(), page.complaints()
        page.open(out)
        page.wait_for("The simulated study of")
        assert [url for url in page.requests() if not url.startswith(("file:", "data:"))] == []
        # Snakemake's page has its style sheet made in the browser, which says so.
        assert [line for line in page.complaints() if "tailwindcss" not in line] == []


def test_the_study_exports_as_a_crate_that_conforms(published, tmp_path):
    out = tmp_path / "crate"
    done = python(published, "unblind.cli", "crate", str(out), *toy_study.OPTIONS)
    assert done.returncode == 0, done.stdout
    document = json.loads((out / "ro-crate-metadata.json").read_text())
    assert crate_profile.problems(document, out) == []
    graph = crate_profile.Graph(document)
    steps = [step["name"] for step in graph.of_type("HowToStep")]
    assert steps == [
        *("demos", "replay", "features_low", "training", "rollout", "arms"),
        *("think", "think_frames", "held_out", "answers", "think_answers"),
        *("drift", "frames", "attention", "knockout", "collapse"),
        *("probe_pictures", "probe", "probe_teacher", "probe_references"),
        *("table1", "table2", "forgetting", "figure4", "figure5", "table3", "table9", "table14"),
        *("costs", "audit"),
    ]
    # What was run last has read what was made before, down to the base.
    made = {name for a in graph.of_type("CreateAction") for name in graph.linked(a, "result")}
    (audit,) = (
        a for a in graph.of_type("CreateAction") if a["@id"] != "#run" and "audit" in a["name"]
    )
    assert {one for one in graph.linked(audit, "object") if one.endswith(".parquet")} <= made


# ---- pulling ---------------------------------------------------------------------------------


def test_with_everything_pulled_only_the_table_is_rendered(published, clone):
    done = python(clone, "unblind.cli", "pull")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == [f"results/{name}: pulled" for name in STORED]
    assert jobs(clone, *SMOKE) == {"table1": 1}
    assert snakemake(clone, "--cores", "1", TABLE, *SMOKE).returncode == 0
    for kind in ("md", "csv", "tex"):
        copy = (clone / "paper" / "published" / f"table1.{kind}").read_bytes()
        assert (clone / "results" / f"table1.{kind}").read_bytes() == copy
    assert not (clone / "results" / "demos").exists()
    assert not (clone / "results" / "features").exists()
    assert jobs(clone, *SMOKE) == {}
    assert jobs(clone, "--forcerun", "table1", *SMOKE) == {"table1": 1}  # as `make table1` does
    assert git(clone, "status", "--porcelain") == ""


def test_without_pulling_everything_below_the_base_is_made(clone):
    once = dict.fromkeys(("pull", "demos", "replay", "features_low", "training", "table1"), 1)
    assert jobs(clone, *SMOKE) == {**once, **ROLLOUTS}


def test_with_adapters_alone_rollouts_and_table_are_made(published, clone):
    pull(clone, "training")
    assert jobs(clone, *SMOKE) == {**ROLLOUTS, "table1": 1}
    done = snakemake(clone, "--cores", "2", TABLE, *SMOKE)
    assert done.returncode == 0, done.stdout
    wanted = published / "results" / "rollouts"
    for path in wanted.rglob("*.parquet"):
        made = clone / "results" / "rollouts" / path.relative_to(wanted)
        assert made.read_bytes() == path.read_bytes()
    assert not (clone / "results" / "demos").exists()
    table, copy = (
        [line for line in path.read_text().splitlines() if line.startswith("|")]
        for path in (clone / TABLE, clone / "paper" / "published" / "table1.md")
    )
    assert "| 0/2 | 2/2 | 0/2 |" in "\n".join(table)
    assert [a for a, b in zip(table, copy, strict=True) if a != b and "CPU" not in a] == []


def test_published_and_pulled_studies_verify(published, pulled):
    verify = ("unblind.cli", "verify", *toy_study.OPTIONS)
    done = python(published, *verify, "--strict")
    assert done.returncode == 0, done.stdout
    assert " 0 stale, 0 missing, 0 corrupt; " in done.stdout
    done = python(pulled, *verify)
    assert done.returncode == 0, done.stdout
    # Base, run, two copies.
    assert done.stdout.count("[pulled]") == 5 + 1 + 1 + 1 + sum(RECORDS.values())
    assert "recomputed" not in done.stdout
    assert python(pulled, *verify, "--strict").returncode == 3  # no table yet


@pytest.mark.parametrize("seed", range(3))
def test_times_of_files_decide_nothing(pulled, seed):
    shuffle_times(pulled, seed)
    assert jobs(pulled, *SMOKE) == {"table1": 1}


def test_nor_do_they_at_the_publishers(published):
    shuffle_times(published, 0)
    assert jobs(published, *SMOKE) == {}


def shuffle_times(folder, seed):
    """Give all files times of the last year, in random order."""
    rng = random.Random(seed)
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts
    )
    now = int(os.stat(folder).st_ctime)
    for path in sorted(files):
        then = now - rng.randrange(365 * 86400)
        os.utime(path, (then, then))


# ---- what runs again -------------------------------------------------------------------------


def config(change, folder, text):
    """Write a changed setting into smoke.yaml."""
    old, new = text
    change(folder / "workflow" / "config" / "smoke.yaml", lambda t: t.replace(old, new, 1))


#: Never published, so made again if something asks for them.
UNSTORED = {"demos": 1, "features_low": 1}
#: So are held-out pictures; whoever was asked about them starts then, too.
ASKED = {"held_out": 1, "answers": 3}
OF_ONE_RUN = {"training": 1, "rollout": 1, "arms": 1}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (("rank: 4", "rank: 8"), {**OF_ONE_RUN, **ASKED}),
        (
            ("demos:\n", "demos:\n  attempts_per_slot: 9\n"),
            {**OF_ONE_RUN, "replay": 1, **ASKED},
        ),
    ],
)
def test_a_changed_hyper_parameter_runs_its_descendants(pulled, change, text, wanted):
    config(change, pulled, text)
    assert jobs(pulled, *SMOKE) == {**UNSTORED, **wanted, "table1": 1}


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("rollout/factory.py", {"rollout": 5, "arms": 2}),
        ("align/losses.py", {**UNSTORED, **ASKED, **OF_ONE_RUN}),
        ("training/cache.py", {**UNSTORED, **ASKED, **OF_ONE_RUN}),
        ("training/evaluate.py", ASKED),
        ("report/stats.py", {}),
        ("audit/build.py", {}),
    ],
)
def test_a_changed_module_runs_its_descendants(pulled, change, module, wanted):
    change(pulled / "src" / "unblind" / module, lambda text: text + "\n\ncheck = 1\n")
    assert jobs(pulled, *SMOKE) == {**wanted, "table1": 1}


def test_a_changed_demonstration_runs_its_descendants(published, change):
    change(published / "results" / "demos" / "manifest.json", lambda text: text + "\n")
    once = ("replay", "features_low", "training", "rollout", "arms", "answers", "table1")
    assert jobs(published, *SMOKE) == dict.fromkeys(once, 1)


def test_a_changed_copy_of_what_demonstrations_were_is_not_believed(pulled, change):
    place = pulled / "results" / "training" / "demonstrations" / "manifest.json"
    change(place, lambda text: text.replace("9000", "9001"))
    found = jobs(pulled, *SMOKE)
    assert (found["demos"], found["replay"]) == (1, 1)


def test_a_touched_file_runs_nothing(published, change):
    for name in ("vla/policy.py", "demos/collect.py", "training/cache.py", "rollout/records.py"):
        change(published / "src" / "unblind" / name, str)
    change(published / "results" / "demos" / "manifest.json", str)
    place = published / "workflow" / "config" / "smoke.yaml"
    change(
        place, lambda text: "# another layout\n" + text.replace("layers: [1]", "layers:\n      - 1")
    )
    assert "layers:\n      - 1" in place.read_text()
    assert jobs(published, *SMOKE) == {}


def test_only_what_a_change_concerns_is_made_again(published, clone):
    """Demonstrations are made for a new run; the old one's jobs find their work standing."""
    pull(clone)
    (clone / "more.yaml").write_text(
        "runs: {align: {policy: vla, label: Align, method: align}}\n"
        "table1: {rows: [default, align, base, oracle, random, noop]}\n"
    )
    old = sorted((clone / "results").rglob("*/default/0/*.meta.json"))
    assert len(old) == 1 + 16 + 8 + 5  # adapter, records, VL-Think, knockouts
    before = [path.read_bytes() for path in old]
    once = dict.fromkeys(("demos", "features_low", "features_teacher", "table1"), 1)
    more = {"training": 2, "rollout": 2, "arms": 2, "held_out": 1, "answers": 4}
    assert jobs(clone, *SMOKE, "more.yaml") == {**once, **more}
    done = snakemake(clone, "--cores", "2", TABLE, *SMOKE, "more.yaml")
    assert done.returncode == 0, done.stdout
    assert (clone / "results" / "training" / "align" / "0" / "run.json").is_file()
    assert [path.read_bytes() for path in old] == before
    names = ("demos/manifest.json", "features/low.npy")
    made, first = (
        [(folder / "results" / name).read_bytes() for name in names]
        for folder in (clone, published)
    )
    assert made == first


def test_a_changed_result_is_not_overwritten(clone):
    pull(clone)
    place = clone / "results" / "rollouts" / "noop" / "0" / "plate.parquet"
    place.write_bytes(b"mine")
    done = python(clone, "unblind.cli", "pull", "rollouts")
    assert done.returncode == 1
    assert "error: results/rollouts was changed" in done.stdout
    assert place.read_bytes() == b"mine"
    done = python(clone, "unblind.cli", "pull", "demos")
    assert "error: the pointer results/demos.dvc is missing" in done.stdout
    assert Path(clone, "results", "training").is_dir()
