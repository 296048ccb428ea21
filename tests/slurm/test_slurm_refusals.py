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
    executor = {"slurm": "slurm", "slurm-generic": "cluster-generic"}[profile]
    package = f"snakemake-executor-plugin-{executor}"
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as installed, pkgutil\n"
        "modules, version = pkgutil.iter_modules, installed.version\n"
        "def hidden(name):\n"
        f"    if name == '{package}':\n"
        "        raise installed.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "installed.version = hidden\n"
        f"module = '{package.replace('-', '_')}'\n"
        "pkgutil.iter_modules = lambda *a, **k: (m for m in modules(*a, **k) if m.name != module)\n"
    )
    before = len(slurm.jobs())
    path = f"PYTHONPATH={tmp_path}:{tree.folder / 'src'}:{studies.ROOT / 'tests'}"
    done = dataclasses.replace(tree, prefix=(*studies.TIED, "env", path)).run(
        studies.REPLAY, "--profile", f"profiles/{profile}"
    )
    assert done.code == 1
    used, line = done.text.splitlines()
    assert used.startswith("Using profiles")
    assert line.startswith(f"error: profiles/{profile} needs {package}, which is not installed (")
    assert len(slurm.jobs()) == before
