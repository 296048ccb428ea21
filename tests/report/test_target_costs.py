"""Costs of a target: the jobs that Snakemake lists, times what one job costs."""

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unblind import cli
from unblind.config import load
from unblind.config.files import read
from unblind.errors import UnblindError
from unblind.report import costs, dag, paper_scale, scale_report
from unblind.report.dag import Job

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "workflow" / "config"
RECORD = "results/rollouts/align/0/plate.parquet"
SHOWN = """\
[Sat Nov 21 19:19:59 2026]
localrule pull_base:
    output: results/base/config.json
    jobid: 1
group job study (jobs in lexicogr. order):
    [Sat Nov 21 19:19:59 2026]
    rule train:
        input: results/demos/manifest.json
        jobid: 2
        wildcards: run=align, seed=3
    rule base_demos:
        wildcards: which=warm-up-
rule all:
    input: results/table1.md
Job stats:
job         count
--------  -------
total           4
"""


@pytest.fixture
def paper():
    return load(CONFIGS / "paper.yaml")


def test_jobs_are_read_from_a_dry_run():
    train = Job("train", (("run", "align"), ("seed", "3")))
    warm_up = Job("base_demos", (("which", "warm-up-"),))
    assert dag.parse(SHOWN) == [Job("pull_base"), train, warm_up]
    names = ["base", "training of align", "base: warm-up demos"]
    assert [job.stage for job in dag.parse(SHOWN)] == names
    assert Job("base_demos", (("which", ""),)).stage == "base: demos"


def test_a_dry_run_of_another_form_is_refused():
    with pytest.raises(UnblindError, match="3 jobs read, 4 listed"):
        dag.parse(SHOWN.replace("    rule train:", "    Rule train:"))
    with pytest.raises(UnblindError, match="0 jobs read, no listed"):
        dag.parse("")


def test_without_a_checkout_there_are_no_jobs(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnblindError, match="no Snakefile here"):
        dag.jobs(paper)


def test_snakemake_lists_what_the_configuration_says(paper, monkeypatch):
    """The whole graph: 7 runs x 8 seeds, of which 3 are trained; and what is made once."""
    monkeypatch.chdir(ROOT)
    found = dag.stages(paper)
    assert sum(found.values()) == 7 * 8 + 3 * 8 + 11
    for stage in found.keys() & paper_scale.jobs(paper):
        assert found[stage] == costs.jobs(paper, stage), stage
    assert set(found) - set(paper_scale.jobs(paper)) == set(scale_report.PAGES)


def test_the_command_tells_a_target_of_its_own(monkeypatch):
    """One record of Align: base, demonstrations, pictures, a training, an evaluation."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(scale_report.formula_checks, "checks", lambda study: [])
    words = ["cost", "--scale", "paper", RECORD, "--set", "rollout.episodes=64"]
    done = CliRunner().invoke(cli.app, [*words, "--set", "runs.align.label=The aligned one"])
    assert done.exit_code == 0, done.output
    whole, target, *_ = done.stdout.split("\n\n")
    assert whole.startswith("everything at paper scale")
    assert target.startswith(f"{RECORD} at paper scale")
    counts = {line[:28].strip(): line[28:34].strip() for line in target.splitlines()[2:]}
    stages = ("demos", "features low", "base: fetch", "base: warm-up demos", "base: warm-up")
    assert counts == {
        **dict.fromkeys((*stages, "training of align", "rollouts of align"), "1"),
        "together": "7",
    }
    # Half the OOD episodes: (13 x 64 + 128) x 80 calls, of 2 x (towers x 256 + rest x 288).
    call = 2 * (730_911_680 * 256 + 6_810_325_504 * 288)
    wanted = (13 * 64 + 128) * 80 * call / (312e12 * 0.25) / 3600
    (line,) = [line for line in target.splitlines() if line.startswith("rollouts of align")]
    assert f"{wanted:.3f}" in line


def test_an_unknown_target_is_one_line(paper, monkeypatch):
    monkeypatch.chdir(ROOT)
    said = "Building DAG of jobs...\nMissingRuleException in file /a/Snakefile:\n" + (
        "No rule to produce {} (if you use input functions make sure that they don't raise).\n"
    )
    monkeypatch.setattr(dag, "_dry_run", lambda targets, file: (1, said.format(targets[0])))
    with pytest.raises(UnblindError) as caught:
        dag.jobs(paper, "results/table99.md")
    assert caught.value.cause == ("Snakemake lists no jobs: No rule to produce results/table99.md")


def test_a_target_moves_with_the_results_but_the_pulled_base_stays():
    moved = dag._moved("./results/table1.md", "results", "/x/results")
    assert moved == "/x/results/table1.md"
    for other in ("table1", "results/base/model.safetensors", "resultsbeside/table1.md"):
        assert dag._moved(other, "results", "/x/results") == other


def test_sums_and_shares():
    one = paper_scale.Need("a", "5 x", gpu_s=2.0, gpu_bytes=7.0, disk=3.0)
    other = paper_scale.Need("b", "", cpu_s=9.0, gpu_bytes=5.0)
    assert one.times(1) == one
    assert one.times(4) == paper_scale.Need("a", "4 jobs of 5 x", 8.0, 7.0, None, 12.0)
    total = paper_scale.together([one.times(4), other])
    assert (total.gpu_s, total.gpu_bytes, total.cpu_s, total.disk) == (8.0, 7.0, 9.0, 12.0)
    assert (one.seconds, other.seconds) == (2.0, 9.0)


def test_a_small_study_is_told_in_cpu_seconds(monkeypatch, tmp_path):
    config = load(CONFIGS / "smoke.yaml", {"seeds": [0, 1]})
    needed = Counter({"rollouts of noop": 1, "demos": 1, "table 1": 1})
    monkeypatch.setattr(dag, "stages", lambda config, target: needed)
    whole = costs.estimate(config)
    wanted = whole["demos"] + whole["rollouts of noop"] / 2
    text = costs.report(config, tmp_path, "a target")
    assert text.splitlines()[-1].split() == ["together", f"{wanted:.0f}", "-"]
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["demos", "rollouts", "together"]


def test_a_stage_without_formula_is_not_passed_over_in_silence(paper, monkeypatch):
    jobs = [Job("demos"), Job("probe"), Job("table1")]
    monkeypatch.setattr(dag, "jobs", lambda config, target=None: jobs)
    # A base of its own, for the pulled one may lie here.
    study = load(CONFIGS / "smoke.yaml", {"results": "/nowhere", "rebuild_base": True})
    text = scale_report.report(paper, study)
    assert "probe" + 28 * " " + "1   no formula for this stage" in text
    assert "table 1" + 26 * " " + "1   seconds" in text
    assert "No result of the smoke study is in /nowhere: no formula is checked." in text


def test_jobs_may_run_as_long_as_the_formula_expects(paper):
    """On a GPU half as fast, too: two to one, or a quarter of an hour for what takes seconds."""
    stages = {"train": "training of align", "rollout": "rollouts of align", "demos": "demos"}
    stages |= {"replay": "replay", "features_low": "features low"}
    stages |= {"base_demos": "base: warm-up demos", "base_warm_up": "base: warm-up"}
    stages |= {"rollout_scripted": "rollouts of oracle"}
    each = paper_scale.jobs(paper)
    for rule, stage in stages.items():
        limit = 60 * paper.cluster.job(rule).minutes
        assert limit >= max(900, 2 * each[stage].seconds), rule


def test_the_scratch_configuration_is_the_whole_one(paper, monkeypatch):
    """What Snakemake is given names every key, the batch system included."""
    seen = {}

    def dry_run(targets, file):
        seen.update(json.loads(file.read_text()))
        return 0, "total 0\n"

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(dag, "_dry_run", dry_run)
    assert dag.jobs(paper) == []
    wanted = read(CONFIGS / "paper.yaml")
    assert seen.keys() == wanted.keys()
    assert seen["cluster"] == wanted["cluster"]
    assert not Path(seen["results"]).exists()
