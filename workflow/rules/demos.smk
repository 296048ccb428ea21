# The planner's demonstrations, and their replay: the ceiling of any policy. Outputs are `update`, so
# that Snakemake leaves what stands; the commands decide what is outdated.


rule demos:
    output:
        manifest=update(f"{RESULTS}/demos/manifest.json"),
    log:
        f"{RESULTS}/logs/demos.log",
    benchmark:
        f"{RESULTS}/benchmarks/demos.tsv"
    group:
        STUDY.cluster.job("demos").group
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        **asked("demos"),
    params:
        code=CODE_HASH["demos"],
        settings=settings("demos"),
    shell:
        "step demos --workers {threads} > {log:q} 2>&1"


rule replay:
    input:
        manifest=f"{RESULTS}/demos/manifest.json",
    output:
        record=update(f"{RESULTS}/replay.parquet"),
    log:
        f"{RESULTS}/logs/replay.log",
    benchmark:
        f"{RESULTS}/benchmarks/replay.tsv"
    group:
        STUDY.cluster.job("replay").group
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        **asked("replay"),
    params:
        code=CODE_HASH["replay"],
        settings=settings("replay"),
    shell:
        "step replay --out {output.record:q} --workers {threads} > {log:q} 2>&1"
