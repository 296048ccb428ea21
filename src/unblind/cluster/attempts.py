"""How far limits may grow from attempt to attempt: not beyond what a partition gives."""

from dataclasses import dataclass

from unblind.cluster import requests, slurm
from unblind.config import Config
from unblind.config.cluster import ClusterJob


@dataclass(frozen=True)
class Ceiling:
    """The most that a partition gives one job.

    Attributes:
        minutes: wall time.
        memory_mb: memory in MB.
    """

    minutes: float = float("inf")
    memory_mb: float = float("inf")

    def of(self, job: ClusterJob, attempt: int) -> tuple[int, int]:
        """Return minutes and memory in MB of the n-th attempt: n times the first one's, or all.

        SLURM may keep a job that asks for more time than its partition gives waiting for ever.

        Args:
            job: what the first attempt may use.
            attempt: 1, 2, ...
        """
        return (
            int(min(attempt * job.minutes, max(self.minutes, job.minutes))),
            int(min(attempt * job.memory_mb, max(self.memory_mb, job.memory_mb))),
        )


def ceilings(config: Config) -> dict[str, Ceiling]:
    """Return what the partition of each rule's jobs gives.

    Raises:
        UnblindError: SLURM does not answer, or a partition is not there.
    """
    known = slurm.partitions()
    return {
        rule: _ceiling(requests.partition(config, rule, known)) for rule in requests.jobs(config)
    }


def _ceiling(partition: slurm.Partition) -> Ceiling:
    largest = max((nodes.memory_mb for nodes in partition.nodes), default=0)
    return Ceiling(partition.minutes, min(partition.memory_mb, largest))
