"""The commands for a cluster: whether it can run the study, and what a compute node says."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, load_config
from unblind.files import write_json

app = typer.Typer()


@app.command()
def cluster_check(
    config: ConfigFile = MINI,
    override: Overrides = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for the job, then cancel it.")
    ] = 300,
) -> None:
    """Check that SLURM can run the study, with one tiny job; exit 1 if something is wrong."""
    settings = load_config(config, override)
    from unblind.cluster.check import run
    from unblind.machine import doctor

    fine = True
    for check in run(settings, wait):
        print(doctor.format([check]), flush=True)
        fine &= check.ok
    if not fine:
        raise typer.Exit(1)


@app.command()
def cluster_probe(
    out: Annotated[Path | None, typer.Option(help="Write the findings here (JSON).")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that the job asked for.")] = 0,
    scratch: Annotated[str | None, typer.Option(help="Folder of temporary files.")] = None,
    code: Annotated[str | None, typer.Option(help="Hash of the login node's package.")] = None,
) -> None:
    """Check this compute node; the job of cluster-check runs it, or you by srun."""
    from unblind.cluster import probe
    from unblind.machine import doctor

    checks = probe.run(gpus, scratch, code)
    print(doctor.format(checks), flush=True)
    if out is not None:
        write_json(out, [asdict(check) for check in checks])
    elif not all(check.ok for check in checks):
        raise typer.Exit(1)
