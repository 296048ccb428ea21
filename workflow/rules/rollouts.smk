# One job evaluates one run with one seed under all conditions. `update` keeps the records that
# stand when the job starts again, so that it only makes those that are missing or outdated.


def model_of(wildcards):
    """Return the files of a run's model: none for a scripted policy, the base, base and adapter."""
    run = STUDY.run(wildcards.run)
    if run.policy != "vla":
        return []
    names = [*places.ADAPTER_FILES, "run.json"] if run.method else []
    folder = f"{RESULTS}/training/{wildcards.run}/{wildcards.seed}"
    return BASE + [f"{folder}/{name}" for name in names]


rule rollout:
    input:
        model=model_of,
    output:
        [
            update(f"{RESULTS}/rollouts/{{run}}/{{seed}}/{condition.name}.parquet")
            for condition in CONDITIONS
        ],
    log:
        f"{RESULTS}/logs/rollout-{{run}}-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rollout-{{run}}-{{seed}}.tsv"
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        mem_mb=6000,
        runtime=240,
        gpu=0,
    params:
        code=lambda wildcards: code_hash(*rollout_code(STUDY.run(wildcards.run).policy)),
        settings=lambda wildcards: settings("rollout", wildcards.run),
    shell:
        "step rollout --run {wildcards.run:q} --seed {wildcards.seed:q} --workers {threads}"
        " > {log:q} 2>&1"
