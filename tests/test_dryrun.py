"""The jobs that Snakemake would run, as its own events tell them."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unblind import cli
from unblind.config import load
from unblind.costs import measured
from unblind.errors import UnblindError
from unblind.study import dryrun
from unblind.study.dryrun import Job
from unblind.study.rows import scope

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "workflow" / "config"
RECORD = "results/rollouts/align/0/plate.parquet"


@pytest.fixture
def paper():
    return load(CONFIGS / "paper.yaml")


def test_without_a_checkout_there_are_no_jobs(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnblindError, match="no Snakefile here"):
        dryrun.jobs(paper, RECORD)


def test_snakemake_lists_what_the_configuration_says(paper, monkeypatch):
    """The whole graph: 7 runs x 8 seeds, 3 of them trained; 4 told of the other thing, and asked
    for boards, as two planners are. Four models of others are fetched, asked and looked into."""
    monkeypatch.chdir(ROOT)
    jobs = dryrun.jobs(paper, "all")
    assert len(jobs) == 7 * 8 + 3 * 8 + 4 * 8 + (4 * 8 + 2) + 4 * 4 + 16
    assert Job("training", (("run", "align"), ("seed", "7"))) in jobs
    counts = Counter(measured.line_of(job.rule, job.run) for job in jobs)
    for name, made_by in measured.lines(paper).items():
        assert counts.pop(name) == measured.count(made_by), name
    pages = {"figure4", "figure5"}
    assert set(counts) == {*pages, "table1", "table2", "table9", "table14", "costs", "audit"}


def test_a_table_of_ablations_needs_its_own_rows_alone(monkeypatch):
    """Table 4: Align, Default and three more teachers, of which one is trained first.

    All four are probed, which needs no run; the base and the VLM are asked, too.
    """
    monkeypatch.chdir(ROOT)
    jobs = dryrun.jobs(load(CONFIGS / "ablations.yaml", {"seeds": [0]}), "results/table4.md")
    assert Counter(job.rule for job in jobs) == {
        **dict.fromkeys(("pull", "demos", "features_low", "held_out", "probe_pictures"), 1),
        **dict.fromkeys(("contrastive_pictures", "contrastive", "table4"), 1),
        **{"features_teacher": 4, "probe_teacher": 4, "training": 5, "rollout": 5, "answers": 7},
        **{"gradients": 5, "drift": 5, "think_frames": 1, "probe": 7},
    }
    runs = {dict(job.wildcards)["run"] for job in jobs if job.rule == "training"}
    assert runs == {
        "align",
        "default",
        *(f"teacher-{n}" for n in ("lite0", "random", "contrastive")),
    }


def test_a_teacher_is_probed_before_any_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    target = "results/probe/teachers/contrastive.parquet"
    jobs = dryrun.jobs(load(CONFIGS / "ablations.yaml"), target)
    assert Counter(job.rule for job in jobs) == dict.fromkeys(
        ("pull", "probe_pictures", "contrastive_pictures", "contrastive", "probe_teacher"), 1
    )


def test_the_papers_own_ablations_need_its_teachers(monkeypatch):
    """Table 11: Align, Default and four more teachers, eight seeds each; the base is no row."""
    monkeypatch.chdir(ROOT)
    config = load(CONFIGS / "ablations-paper.yaml")
    jobs = dryrun.jobs(config, "results/table11.md")
    assert Counter(job.rule for job in jobs) == {
        **dict.fromkeys(("fetch", "demos", "pictures", "warm_up_demos", "warm_up", "table11"), 1),
        **dict.fromkeys(("training", "rollout"), 6 * 8),
    }
    assert set(scope.teachers(config)) == {
        *("c-radiov3-l", "c-radiov3-h", "dinov2-large", "dinov2-giant", "siglip-so400m"),
    }


def test_the_command_tells_a_target_of_its_own(monkeypatch):
    """One record of Align: base, demonstrations, pictures, a training, an evaluation."""
    monkeypatch.chdir(ROOT)
    words = ["costs", "--scale", "paper", RECORD, "--set", "rollout.episodes=64"]
    done = CliRunner().invoke(cli.app, [*words, "--set", "runs.align.label=The aligned one"])
    assert done.exit_code == 0, done.output
    listed, _ = done.stdout.split("\n\n")
    counts = {line[:28].strip(): line[28:34].strip() for line in listed.splitlines()[1:]}
    stages = ("demos", "pictures", "fetch", "warm up demos", "warm up")
    assert counts == {
        **dict.fromkeys((*stages, "training of align", "rollout of align"), "1"),
        "together": "7",
    }
    # Half the OOD episodes: (13 x 64 + 128) x 80 calls, of 2 x (towers x 256 + rest x 288).
    call = 2 * (730_911_680 * 256 + 6_810_325_504 * 288)
    seconds = (13 * 64 + 128) * 80 * call / (312e12 * 0.25)
    (line,) = [line for line in listed.splitlines() if line.startswith("rollout of align")]
    assert f" {seconds / 3600:.3f} " in line


def test_an_unknown_target_is_one_line(paper, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UnblindError) as caught:
        dryrun.jobs(paper, "results/table99.md")
    assert caught.value.cause == "Snakemake lists no jobs: No rule to produce results/table99.md"


def test_a_target_moves_with_the_results_but_the_pulled_base_stays():
    moved = dryrun._moved("./results/table1.md", "results", "/x/results")
    assert moved == "/x/results/table1.md"
    for other in ("table1", "results/base/model.safetensors", "resultsbeside/table1.md"):
        assert dryrun._moved(other, "results", "/x/results") == other


def test_what_is_not_made_yet_is_pending(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    config = load(CONFIGS / "smoke.yaml", {"results": str(tmp_path)})
    rules = Counter(job.rule for job in dryrun.pending(config))
    assert rules["demos"] == 1 and rules["table1"] == 1 and "all" not in rules
    # The cluster's settings are passed on whole, for the workflow checks every key.
    assert dryrun._values(config)["cluster"] == config.cluster.model_dump(mode="json")
