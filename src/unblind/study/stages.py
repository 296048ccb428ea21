"""The graph of a study as one table: what each stage reads, makes, costs and depends on.

Everything that knows stages reads this table: the rules of the workflow, the commands, sidecars,
`unblind verify` and `trace`, costs, the research-object crate and requests to a cluster. How a new
stage is added: docs/architecture.md. `unblind.study.jobs` binds it to a configuration.
"""

from collections.abc import Mapping

from unblind.study.rows import answerers, base, knowledge, pages, runs
from unblind.study.stage import Stage

#: The graph: every stage by name, each after those that it reads.
STAGES: Mapping[str, Stage] = {
    **base.ROWS,
    **runs.ROWS,
    **knowledge.ROWS,
    **answerers.ROWS,
    **pages.ROWS,
}
#: Stages that may make the model from which methods start, the first that exists counts.
BASES = ("published_warm_up", "fetch", "warm_up", "pull")
#: CPU-seconds of an episode of 80 steps by kind of policy, measured as `Stage.unit_cpu_s`.
EPISODE_CPU_S = {
    **{"oracle": 1.1, "always_left": 1.1, "random": 0.65, "noop": 0.55, "vla": 2.2},
    # With pictures, and without what the server computes.
    "served": 1.2,
}
#: CPU-seconds until a worker has imported everything and drawn its first picture.
START_CPU_S = 8.4


def rule_of(name: str) -> str:
    """Return the rule of the workflow that runs a stage."""
    return STAGES[name].rule or name


def request_of(name: str) -> str:
    """Return under which name the section `cluster` says what a job of a stage may use."""
    return STAGES[name].request or rule_of(name)


#: Names of all requests to a cluster, in the order of the stages.
REQUESTS = tuple(dict.fromkeys(request_of(name) for name in STAGES if not STAGES[name].is_local))
