"""What to say when jobs of a batch system have failed without a word."""

from pathlib import Path

#: Executors of Snakemake that hand jobs to SLURM.
EXECUTORS = ("slurm", "cluster-generic")


def logs(results: str) -> set[Path]:
    """Return the logs that SLURM jobs of a study have left.

    Args:
        results: the study's folder of results.
    """
    return set(Path(results, "logs", "slurm").rglob("*.log"))


def silent(results: str, before: set[Path]) -> str:
    """Return one line on failed jobs that have left no log at all, nothing if there is one.

    Args:
        results: the study's folder of results.
        before: the logs that were there when Snakemake started.
    """
    if logs(results) - before:
        return ""
    return (
        "error: jobs failed and left no log: their node does not see this folder, or SLURM never "
        "started them (put the study on a shared file system; ask: unblind cluster-check)"
    )
