"""The whole study at the smallest scale with nothing replaced: base, fine-tuning, rollouts, table.

About 200 CPU-seconds, nearly all of them for starting eighteen jobs, seven with a simulator.
"""

import json
import shutil
import subprocess
import sys

import pytest
from toy_study import ROOT

from unblind.machine import processor

SETTINGS = """
rebuild_base: true
rollout: {episodes: 1, max_steps: 3, scenes: 1}
replay: {episodes: 1}
table1: {rows: [default]}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    for name in ("src", "workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "tiny.yaml").write_text(SETTINGS)
    return folder


def snakemake(project, *words):
    files = ("--configfile", "workflow/config/smoke.yaml", "tiny.yaml")
    command = [sys.executable, "-m", "snakemake", "results/table1.md", *words, *files]
    environment = {"PYTHONPATH": str(project / "src")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=project, env=environment, text=True, **pipes)


def logs(project):
    return "\n".join(path.read_text()[-2000:] for path in project.glob("results/logs/*.log"))


def test_everything_from_nothing_to_the_table(project):
    done = snakemake(project, "--cores", "2")
    assert done.returncode == 0, done.stdout + logs(project)
    results = project / "results"
    rebuilt = results / "rebuilt-base"
    base = {path.name for path in rebuilt.iterdir() if path.is_file()}
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "statistics.json"}
    wanted |= {"vlm.safetensors"}
    assert base == wanted | {f"{name}.meta.json" for name in wanted}
    assert not list(results.rglob("checkpoint.safetensors")), "finished trainings keep none"
    table = (results / "table1.md").read_text()
    for label in ("VLM (before robot pretraining)", "Base (before fine-tuning)", "Default"):
        assert f"| **{label}** |" in table.partition("## Held-out answers")[2]
    assert "Set-up of Default: base" in table and "steps 4; trainable parameters" in table
    record = results / "rollouts" / "default" / "0" / "carrot.parquet.meta.json"
    told = json.loads(record.read_text())
    weights = json.loads((rebuilt / "model.safetensors.meta.json").read_text())["sha256"]
    assert told["extra"]["run_details"]["base"] == weights[:12]
    assert told["inputs"]["results/rebuilt-base/model.safetensors"] == weights
    assert ("MKL_CBWR" in told["kernels"]) == ("AVX" in processor.kind())
    assert "Nothing to be done" in snakemake(project, "-n").stdout
