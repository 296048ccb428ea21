"""The section `cluster`: what is asked of a batch system for each rule. It decides no result."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from unblind.config.sections import Count, Name, Section

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
#: A folder; variables that the compute node knows may stand in it.
NodeFolder = Annotated[str, Field(pattern=r"^(/|\$)[A-Za-z0-9_.${}/-]*$")]


class ClusterJob(Section):
    """What the first attempt of one rule's job may use; the n-th gets n times time and memory."""

    minutes: Count = Field(description="Wall time.")
    memory_mb: Count = Field(description="Memory in MB.")
    gpus: int = Field(ge=0, description="GPUs.")
    group: Name | None = Field(
        description="Jobs of one group that depend on each other are submitted as one; null: alone."
    )


class ClusterJobs(Section):
    """What jobs may use, by rule."""

    demos: ClusterJob = Field(description="The planner's demonstrations.")
    replay: ClusterJob = Field(description="Their replay.")
    base_questions: ClusterJob = Field(description="Pictures with questions.")
    base_demos: ClusterJob = Field(description="Demonstrations of pretraining and warm-up.")
    base_vlm: ClusterJob = Field(description="VLM pretraining.")
    base_robot: ClusterJob = Field(description="Robot pretraining.")
    base_warm_up: ClusterJob = Field(description="Warm-up.")
    features_low: ClusterJob = Field(description="Features of the tower's frozen part.")
    features_teacher: ClusterJob = Field(description="Features of the teacher.")
    pictures: ClusterJob = Field(description="Pictures at the size of a published model.")
    train: ClusterJob = Field(description="Fine-tuning of one run with one seed.")
    rollout: ClusterJob = Field(description="Evaluation of one run of a model with one seed.")
    rollout_scripted: ClusterJob = Field(
        description="The same, by rule `rollout`, of a policy that needs no model."
    )
    table1: ClusterJob = Field(description="Table 1.")
    settings_table: ClusterJob = Field(description="Tables 9 and 14.")
    costs: ClusterJob = Field(description="The page of costs.")
    audit: ClusterJob = Field(description="The audit's pages.")


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
    jobs: ClusterJobs = Field(description="Time, memory, GPUs and group of each rule.")

    @model_validator(mode="after")
    def _alike_in_groups(self) -> Self:
        groups: dict[str, dict[tuple[str | None, ...], str]] = {}
        for rule in ClusterJobs.model_fields:
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
        return getattr(self.jobs, rule)

    def partition_of(self, rule: str) -> str | None:
        """Return the partition of a rule's jobs, None for SLURM's default."""
        return (self.gpu_partition if self.job(rule).gpus else None) or self.partition
