"""What SLURM cannot give is one clear message, and no job is left behind."""

import dataclasses
import os

import pytest
import slurm_studies as studies


@pytest.fixture(params=studies.PROFILES)
def profile(request):
    return request.param


@pytest.fixture(scope="module")
def tree(slurm, tmp_path_factory):
    return studies.toy(tmp_path_factory.mktemp("refusals") / "study")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("partition: mian", "this cluster has no partition 'mian', did you mean 'main'?"),
        ("account: ghost", "account 'ghost' cannot be checked: this SLURM keeps no accounts"),
        (
            "gpu_type: h100, jobs: {demos: {gpus: 1, group: null}}",
            "has 1 GPU(s) of type h100, as demos asks",
        ),
        ("partition: gpu, jobs: {demos: {minutes: 90}}", "demos asks for 90 minutes"),
    ],
)
def test_it_is_told_before_a_job_is_submitted(slurm, tree, profile, settings, wanted):
    before = len(slurm.jobs())
    done = studies.run(studies.with_cluster(tree, settings), profile)
    assert done.code == 1
    (line,) = [line for line in done.text.splitlines() if wanted in line]
    assert "set cluster." in line or "lower cluster." in line or "choose" in line
    assert "Traceback" not in done.text
    assert len(slurm.jobs()) == before


def test_an_unknown_account_where_there_are_accounts(slurm, tree, profile, tmp_path):
    """The site's accounting is a fake: a real one needs a data base."""
    fakes = {
        "sacctmgr": "echo lab",
        "scontrol": '/usr/bin/scontrol "$@" | sed \'s,accounting_storage/none,'
        "accounting_storage/slurmdbd,'",
    }
    for name, body in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    before = len(slurm.jobs())
    path = f"{tmp_path}:{os.environ.get('PATH', os.defpath)}"
    done = studies.run(studies.with_cluster(tree, "account: lap"), profile, PATH=path)
    assert done.code == 1
    assert "unknown account 'lap'" in done.text and "did you mean 'lab'?" in done.text
    assert len(slurm.jobs()) == before


def test_a_missing_plugin(slurm, tree, profile, tmp_path):
    """Snakemake itself finds no executor of that name."""
    package = {"slurm": "slurm", "slurm-generic": "cluster_generic"}[profile]
    (tmp_path / "sitecustomize.py").write_text(
        "import pkgutil\n"
        "kept = pkgutil.iter_modules\n"
        f"name = 'snakemake_executor_plugin_{package}'\n"
        "pkgutil.iter_modules = lambda *a, **k: (m for m in kept(*a, **k) if m.name != name)\n"
    )
    before = len(slurm.jobs())
    path = f"PYTHONPATH={tmp_path}:{tree.folder / 'src'}:{studies.ROOT / 'tests'}"
    hidden = dataclasses.replace(tree, prefix=(*studies.TIED, "env", path))
    done = hidden.run(studies.REPLAY, "--profile", f"profiles/{profile}")
    assert done.code != 0
    assert "Traceback" not in done.text
    executor = {"slurm": "slurm", "slurm-generic": "cluster-generic"}[profile]
    assert f"--executor/-e: invalid choice: '{executor}'" in done.text.splitlines()[-1]
    assert len(slurm.jobs()) == before
