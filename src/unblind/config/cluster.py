"""The section `cluster`: what is asked of a batch system for each rule. It decides no result."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from unblind.config.kinds import Count, Name, Section

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
#: A folder; variables that the compute node knows may be part of it.
NodeFolder = Annotated[str, Field(pattern=r"^(/|\$)[A-Za-z0-9_.${}/-]*$")]


class ClusterJob(Section):
    """What the first attempt of one rule's job may use; the n-th gets n times time and memory."""

    # 'default' says what a job leaves out.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    minutes: Count = Field(description="Wall time.")
    memory_mb: Count = Field(description="Memory in MB.")
    gpus: int = Field(ge=0, description="GPUs.")
    group: Name | None = Field(
        description="Jobs of one group that depend on each other are submitted as one; null: alone."
    )


#: The job that says what others leave out.
DEFAULT = "default"


class Cluster(Section):
    """The batch system (SLURM), if the study runs through one."""

    partition: Word | None = Field(description="Of jobs without GPU; null: SLURM's default.")
    gpu_partition: Word | None = Field(description="Of jobs with GPU; null: as `partition`.")
    account: Word | None = Field(description="Who pays; null: SLURM's default.")
    gpu_type: Word | None = Field(description="For example 'a100'; null: any.")
    scratch: NodeFolder | None = Field(
        description="Folder on the compute node, for example '$TMPDIR' or '/scratch/$USER', in "
        "which each job has a temporary folder of its own; null: as the system has it."
    )
    jobs: dict[Name, ClusterJob] = Field(
        description="Time, memory, GPUs and group of jobs by rule (`rollout_scripted`: of rule "
        "`rollout`, where a policy needs no model); 'default' is for what a job does not say, and "
        "for jobs that are not named."
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        """Let a job say only what differs from 'default'."""
        jobs = values.get("jobs") if isinstance(values, dict) else None
        default = jobs.get(DEFAULT) if isinstance(jobs, dict) else None
        if not isinstance(default, dict):
            return values
        filled = {
            name: {**default, **job} if isinstance(job, dict) else job for name, job in jobs.items()
        }
        return {**values, "jobs": filled}

    @model_validator(mode="after")
    def _has_default(self) -> Self:
        if DEFAULT not in self.jobs:
            raise ValueError(f"jobs lacks '{DEFAULT}'")
        return self

    @model_validator(mode="after")
    def _alike_in_groups(self) -> Self:
        groups: dict[str, dict[tuple[str | None, ...], str]] = {}
        for rule in self.jobs:
            job = self.job(rule)
            if job.group:
                kind = (self.partition_of(rule), self.gpu_type if job.gpus else None)
                groups.setdefault(job.group, {}).setdefault(kind, rule)
        for name, kinds in groups.items():
            if len(kinds) > 1:
                raise ValueError(
                    f"group '{name}' holds jobs for different partitions or GPUs: "
                    f"{', '.join(kinds.values())}"
                )
        return self

    def job(self, rule: str) -> ClusterJob:
        """Return what a rule's job may use."""
        return self.jobs.get(rule, self.jobs[DEFAULT])

    def partition_of(self, rule: str) -> str | None:
        """Return the partition of a rule's jobs, None for SLURM's default."""
        return (self.gpu_partition if self.job(rule).gpus else None) or self.partition
