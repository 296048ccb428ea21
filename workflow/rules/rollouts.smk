# One job evaluates one run with one seed under all conditions. `update` keeps the records that
# stand when the job starts again, so that it only makes those that are missing or outdated.


rule rollout:
    input:
        model=policy_files,
    output:
        [
            update(f"{RESULTS}/rollouts/{{run}}/{{seed}}/{condition.name}.parquet")
            for condition in CONDITIONS
        ],
    log:
        f"{RESULTS}/logs/rollout-{{run}}-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rollout-{{run}}-{{seed}}.tsv"
    group:
        group_of("rollout")
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        **asked("rollout"),
    params:
        code=lambda wildcards: code_of(
            rollout_code(STUDY.run(wildcards.run).policy), "rollout", wildcards.run
        ),
        settings=lambda wildcards: settings("rollout", wildcards.run),
    shell:
        "step rollout --run {wildcards.run:q} --seed {wildcards.seed:q} --workers {threads}"
        " > {log:q} 2>&1"
