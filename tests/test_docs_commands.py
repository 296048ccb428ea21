"""Every command that the documentation shows, run as it stands, page by page, on the toy study.

One checkout follows the README's first sections, which compute; its author publishes; a reader's
clone follows the rest of the README, which pulls, and then the pages of docs/ in their order.
"""

import re

import pytest
import toy_study
from fences import PAGES, ROOT, bare, commands, fences, read

BASE = "two hours of the real base; tests/test_smoke.py makes a tiny one"
SLURM = "needs SLURM; tests/slurm sends whole studies through both profiles"
PODMAN = "needs a container engine; tests/test_container.py reads the recipe"
PAPER = "needs GPUs and the hub; tests/test_paper_workflow.py builds the same graph"
VALIDATOR = "an environment of its own; tests/custody/test_crate.py where one is named"
TOUR = "of files that the page shows; tests/test_tour.py writes and runs them"
SERVER = "needs somebody's server; tests/test_s3.py pushes to and pulls from one of its own"
REMOTE = ".venv/bin/dvc remote add --local --default team"
#: What is not run here, by the words with which it begins, and why.
NOT_RUN = {
    "make test": "would run this test",
    "make lint": "of the whole checkout; continuous integration runs it",
    ".venv/bin/python -m pytest": "would run tests in a test",
    "make paper": "needs TeX; tests/paper/test_report.py",
    "make bench": "minutes of the real simulator; tests/bench/test_bench_timing.py",
    "make bench-gpu": "minutes, one GPU; tests/bench/test_bench_gpu.py runs it on twins",
    ".venv/bin/unblind doctor": "judges this machine; tests/machine/test_doctor.py",
    ".venv/bin/unblind audit --against DIR": "DIR is the reader's; tests/audit/test_compare.py",
    ".venv/bin/unblind audit --recheck": "the real simulator; tests/audit/test_recheck.py",
    ".venv/bin/unblind audit --strict": "8 s; tests/audit/test_audit_command.py",
    ".venv/bin/unblind costs results/table1.md": "7 s; tests/test_dryrun.py",
    ".venv/bin/unblind cluster-check": SLURM,
    ".venv/bin/snakemake all --profile profiles/slurm": SLURM,
    ".venv/bin/snakemake --cores all --configfile workflow/config/paper.yaml": PAPER,
    ".venv/bin/snakemake --cores all --configfile workflow/config/study.yaml": (
        "a night; tests/test_paper_workflow.py builds the same graph"
    ),
    ".venv/bin/unblind think-answers --frames": (
        "the real simulator; tests/steps/test_think_answers.py"
    ),
    ".venv/bin/unblind think-answers --run base": "of these frames",
    ".venv/bin/unblind probe --run align": "minutes of learning; tests/steps/test_probe_steps.py",
    ".venv/bin/unblind probe-references": "minutes of learning; tests/steps/test_probe_steps.py",
    ".venv/bin/unblind probe-teacher": "minutes of learning; tests/steps/test_probe_steps.py",
    ".venv/bin/unblind contrastive": "40 minutes; tests/steps/test_contrastive.py",
    ".venv/bin/snakemake --cores all --configfile workflow/config/ablations-paper.yaml": PAPER,
    ".venv/bin/unblind rollout --run align --seed 0": (
        "one task of an array; tests/rollout/test_run.py"
    ),
    ".venv/bin/unblind merge": "records of other machines; tests/custody/test_merge.py",
    "make ablations": "a night; tests/test_dryrun.py builds one of its tables",
    "make defects": "an hour; tests/report/test_defects_page.py renders its page",
    ".venv/bin/unblind defects": "of studies that are not made; tests/report/test_defects_page.py",
    ".venv/bin/unblind twin openvla": "10 s; tests/twin/test_twin_checkpoints.py",
    ".venv/bin/unblind answerer": "needs the hub; tests/steps/test_answerer_steps.py",
    ".venv/bin/snakemake --cores 2 all --configfile workflow/config/twin.yaml": (
        "four minutes; tests/test_paper_workflow.py, and tests/steps/test_published_steps.py"
    ),
    ".venv/bin/unblind openvla": "needs what was not made; tests/vla/test_policy.py",
    "podman build": PODMAN,
    "podman run": PODMAN,
    ".venv/bin/unblind watch": "the real simulator; tests/films/test_watch.py",
    ".venv/bin/unblind compare": "the toy's models are none; tests/films/test_compare_runs.py",
    "sh scripts/container.sh": "a bare Debian, minutes, as root; tests/test_container.py",
    ".venv/bin/unblind think": "the real simulator; tests/rollout/test_thinking.py",
    ".venv/bin/unblind predict": "the toy's model is none; tests/rollout/test_trained.py",
    ".venv/bin/unblind catalog --sheets": "the real renderer; tests/sim/test_contact.py",
    ".venv/bin/unblind catalog --released DIR": "DIR is the authors'; tests/sim/test_released.py",
    "git clone https://github.com/CognitiveAISystems/BlindVLA": "somebody else's server",
    ".venv/bin/unblind assets assemble": (
        "of a clone that is not here; tests/assets/test_assemble.py"
    ),
    ".venv/bin/unblind catalog --released assets/released": (
        "of files that are not here; tests/sim/test_released.py"
    ),
    ".venv/bin/unblind costs --config workflow/config/paper.yaml": (
        "10 s; tests/costs/test_costs_by_page.py"
    ),
    ".venv/bin/unblind costs --config workflow/config/ablations-paper.yaml": (
        "15 s; tests/costs/test_costs_by_page.py"
    ),
    ".venv/bin/unblind rollout --run align --set rollout.stop_early.against=default": (
        "the toy's rollouts are made up whole; tests/steps/test_comparing.py"
    ),
    ".venv/bin/unblind rollout --run forward": (
        "needs a policy's server; tests/serving/test_served_runs.py"
    ),
    ".venv/bin/python forward.py": TOUR,
    "sleep 10": TOUR,
    "kill $server": TOUR,
    ".venv/bin/snakemake --cores 2 results-tour/table1.md --configfile tour.yaml": TOUR,
    ".venv/bin/snakemake --cores all results-shallow/table1.md --configfile shallow.yaml": (
        "an hour, with a teacher that is not there"
    ),
    ".venv/bin/unblind serve": "until it is ended; tests/serving/test_served_runs.py",
    ".venv/bin/unblind convert": (
        "of sets that are not made here or not there; tests/formats/test_convert.py"
    ),
    ".venv/bin/unblind survey": "640 attempts of the real planner",
    ".venv/bin/unblind prove": "20 minutes; tests/study/test_prove.py proves toy stages",
    ".venv/bin/snakemake --cores all results/rebuilt-base/model.safetensors": BASE,
    ".venv/bin/snakemake --cores all results/table1.md --config rebuild_base=True": BASE,
    ".venv/bin/unblind base promote": "needs what was not made; tests/study/test_store.py",
    f"{REMOTE} ssh://user@host/srv/unblind": "the page's S3 remote has the name already",
    f"{REMOTE} https://host/unblind": "the page's S3 remote has the name already",
    ".venv/bin/dvc push": SERVER,
    "python3 -m venv /tmp/validator": VALIDATOR,
    "/tmp/validator/bin/python": VALIDATOR,
    "UNBLIND_VALIDATOR_PYTHON=/tmp/validator/bin/python": VALIDATOR,
}
COMPUTING, _, PULLING = read("README.md").partition("\n## Download results\n")


def row_of(command):
    """Return the row of NOT_RUN that is about a command, if there is one."""
    words = f"{bare(command)} "
    rows = [row for row in NOT_RUN if words.startswith(f"{row} ")]
    assert len(rows) < 2, f"{command}: {rows}"
    return rows[0] if rows else None


def follow(folder, text, shown=()):
    """Run the commands of a text in order, but those that stood on an earlier page."""
    for command in commands(text):
        if bare(command) not in shown and row_of(command) is None:
            toy_study.shell(folder, command)


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    """A checkout whose owner has pulled nothing and follows the README's first sections."""
    folder = toy_study.checkout(tmp_path_factory.mktemp("an author's"))
    follow(folder, COMPUTING)
    return folder


@pytest.fixture(scope="module")
def reader(author, tmp_path_factory):
    """A fresh clone of what the author has published."""
    toy_study.shell(author, ".venv/bin/snakemake --cores all")
    assert "commit " in toy_study.shell(author, "make publish")
    return toy_study.clone(author, tmp_path_factory.mktemp("a reader's") / "clone")


def test_the_first_sections_compute_the_study(author):
    results = author / "results"
    assert len(list(results.glob("rollouts/*/0/*.parquet"))) == 3 * 14 + 2 * 2
    assert (results / "demos" / "manifest.json").is_file()
    assert (results / "audit.html").is_file()


def test_a_report_of_pages_that_are_not_there_says_how_to_make_them(author):
    missing = next(
        page for page in ("table2.md", "table9.md") if not (author / "results" / page).exists()
    )
    done = toy_study.snakemake(author, "--report", "results/report.html")
    assert done.returncode == 1
    assert f"results/{missing} is missing (run: snakemake --cores all)" in done.stdout


def test_the_rest_of_the_readme_works_in_its_order(reader):
    follow(reader, PULLING)
    results = reader / "results"
    for name in ("table1.md", "table1.csv", "table1.tex"):
        copy = reader / "paper" / "published" / name
        assert (results / name).read_bytes() == copy.read_bytes()
    assert not (results / "demos").exists(), "the study was pulled, not computed"
    assert "Table 14: this study" in (results / "report.html").read_text()


@pytest.mark.parametrize("page", [page for page in PAGES[1:] if commands(read(page))])
def test_a_page_works_in_its_order(reader, page):
    earlier = PAGES[: PAGES.index(page)]
    follow(reader, read(page), {bare(c) for other in earlier for c in commands(read(other))})


def test_what_is_not_run_is_still_shown_and_its_tests_are_there():
    shown = {row_of(command) for page in PAGES for command in commands(read(page))}
    assert [row for row in NOT_RUN if row not in shown] == []
    named = re.findall(r"tests/[\w./]*\w", " ".join(NOT_RUN.values()))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_command_hides_in_a_block_of_another_language():
    languages = {language for page in PAGES for language, _ in fences(read(page))}
    assert languages == {"sh", "python", "yaml", "mermaid"}


def test_every_snakemake_call_says_where_its_jobs_run():
    """Without --cores a local call ends at once, which a dry run does not show."""
    calls = [bare(c) for page in PAGES for c in commands(read(page)) if "/snakemake " in c]
    places = {"--cores", "--profile", "--report"}
    assert [call for call in calls if not places & set(call.split())] == []
