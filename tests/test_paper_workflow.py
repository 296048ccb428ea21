"""The graph at the published sizes, without running it."""

import pytest
import toy_study

PAPER = ("--configfile", "workflow/config/paper.yaml")
SEEDS, METHODS, ROWS = 8, 3, 7


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return toy_study.make(tmp_path_factory.mktemp("paper"))


def test_the_whole_study(project):
    once = ("fetch", "warm_up_demos", "warm_up", "demos", "pictures", "replay")
    once += ("think_frames", "frames", "figure4", "figure5")
    pages = {"table1": 1, "table2": 1, "table9": 1, "table14": 1, "audit": 1, "costs": 1, "all": 1}
    runs = {"training": METHODS * SEEDS, "rollout": ROWS * SEEDS, "arms": 4 * SEEDS}
    runs["think"] = 4 * SEEDS + 2  # the models, and each planner once
    # Of the paper's six vision-language models, transformers reads four, each once.
    asked = ("answerer", "answerer_answers", "answerer_attention", "answerer_collapse")
    runs |= dict.fromkeys(asked, 4)
    wanted = {**dict.fromkeys(once, 1), **runs, **pages}
    assert toy_study.jobs(project, *PAPER, target="all") == wanted
    assert sum(wanted.values()) == 115 + 8 * SEEDS


def test_with_a_checkpoint_that_is_warmed_up_already(project):
    (project / "warm.yaml").write_text("rebuild_base: false\n")
    found = toy_study.jobs(project, *PAPER, "warm.yaml", target="all")
    assert "warm_up" not in found and "warm_up_demos" not in found
    assert found["fetch"] == 1 and sum(found.values()) == 113 + 8 * SEEDS


def test_the_smallest_study_on_twins(project):
    """The documented call; what its steps do on twins is tested in `tests/steps`."""
    twin = ("--configfile", "workflow/config/twin.yaml")
    found = toy_study.jobs(project, *twin, target="all")
    assert {rule: found[rule] for rule in ("fetch", "warm_up", "training", "rollout")} == {
        "fetch": 1,
        "warm_up": 1,
        "training": 2,
        "rollout": 6,
    }


def test_the_powered_study(project):
    """Three methods and three seeds; base and VLM answer once, whatever the seeds.

    Four more runs, at other rates and lengths, are trained once and only followed.
    """
    study = ("--configfile", "workflow/config/study.yaml")
    once = ("pull", "demos", "replay", "features_low", "features_teacher", "held_out", "frames")
    once += ("landscape", "forgetting", "figure2c", "figure4", "figure5", "think_frames")
    once += ("probe_pictures", "probe_teacher", "probe_references", "table1", "table2", "table3")
    pages = dict.fromkeys(("table9", "table14", "audit", "costs", "all"), 1)
    runs = {"training": 3 * 3 + 4, "rollout": 7 * 3, "arms": 4 * 3, "answers": 3 * 3 + 2}
    runs |= {"think": 4 * 3 + 2, "drift": 3 * 3 + 4, "think_answers": 3 * 3 + 2}
    runs |= {"knockout": 4 * 3, "attention": 3 * 3 + 1, "collapse": 3 * 3 + 2, "probe": 3 * 3 + 2}
    wanted = {**dict.fromkeys(once, 1), **runs, **pages}
    assert toy_study.jobs(project, *study, target="all") == wanted


def test_models_get_a_gpu_and_scripted_policies_none(project):
    target = "results/rollouts/{}/0/in_distribution.parquet"
    for run, gpu in (("align", 1), ("oracle", 0)):
        done = toy_study.snakemake(project, "-n", "-p", target.format(run), *PAPER)
        assert done.returncode == 0, done.stdout
        rule = done.stdout.partition("rule rollout:")[2].partition("Shell command:")[0]
        assert f"gpu={gpu}" in rule
        assert ("results/rebuilt-base/base.json" in rule) == bool(gpu)
    assert "step rollout --run oracle" in done.stdout
