"""The rows that docs/architecture.md adds to the table of stages are all that the graph needs."""

import json

import pytest
import toy_study
from fences import blocks, read

#: What the study's parts know of the new stages, printed by a process that imports their table.
KNOWN = """
import json
from pathlib import Path

from unblind.cluster import requests
from unblind.config import load
from unblind.custody import artifacts
from unblind.study import graph

PAPER = Path("workflow/config/paper.yaml")
config = load("workflow/config/mini.yaml", {
    "cluster.jobs.norm": {"minutes": 7, "memory_mb": 70, "gpus": 0, "group": None},
})
requests.check_names(config)
made = [job for job in graph.of_study(config) if job.name in ("norm", "norms")]
print(json.dumps({
    "calls": [job.call for job in made],
    "outputs": [str(path) for job in made for path in job.outputs],
    "inputs": [[str(path) for path in job.inputs] for job in made],
    "settings": made[0].settings,
    "request": requests.jobs(config)["norm"].minutes,
    "verified": [str(one.path) for one in artifacts.study(config, PAPER)],
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the repository with the page's rows, and with the files that they name."""
    folder = toy_study.make(tmp_path_factory.mktemp("a new stage"))
    rows = blocks(read("docs/architecture.md"), "python")
    for name, row in zip(("knowledge.py", "pages.py"), rows, strict=True):
        table = folder / "src" / "unblind" / "study" / "rows" / name
        table.write_text(f"{table.read_text()}{row}")
    (folder / "src" / "unblind" / "measuring.py").write_text('"""Measuring."""\n')
    (folder / "paper" / "templates" / "norms.md.j2").write_text("Norms\n")
    (folder / "workflow" / "report" / "norms.rst").write_text("Norms\n")
    return folder


@pytest.fixture(scope="module")
def known(project):
    (project / "src" / "known.py").write_text(KNOWN)
    done = toy_study.python(project, "known")
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def test_a_job_exists_for_each_trained_run_and_one_for_the_page(known):
    runs = ("default", "freeze", "align")
    probes = [f"results/norm/{run}/0.json" for run in runs]
    assert known["calls"] == [
        *(f"unblind norm --run {run} --seed 0" for run in runs),
        "unblind norms",
    ]
    assert known["outputs"] == [*probes, "results/norms.md"]
    assert known["inputs"][-1] == probes
    assert "results/demos/manifest.json" in known["inputs"][0]
    assert "results/training/default/0/adapter_model.safetensors" in known["inputs"][0]
    assert known["settings"]["run"] == {"policy": "vla", "method": "default"}


def test_verify_lists_the_results_and_a_cluster_can_be_asked_for_resources(known):
    assert set(known["outputs"]) <= set(known["verified"])
    assert known["request"] == 7


def test_the_rules_run_what_the_page_needs_and_everything_includes_the_page(project):
    counts = toy_study.jobs(project, *toy_study.SMOKE, target="results/norms.md")
    assert {counts[rule] for rule in ("norms", "norm", "training", "demos")} == {1}
    assert "rollout" not in counts
    assert toy_study.jobs(project, *toy_study.SMOKE, target="all")["norms"] == 1
