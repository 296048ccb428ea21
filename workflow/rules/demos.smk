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
        group_of("demos")
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        **asked("demos"),
    params:
        code=code("demos"),
        settings=settings("demos"),
    shell:
        "step demos --workers {threads} > {log:q} 2>&1"


if STUDY.rebuild_base:

    rule base_demos:
        output:
            manifest=update(f"{places.rebuilt(STUDY)}/{{which}}demos/manifest.json"),
        log:
            f"{RESULTS}/logs/base-{{which}}demos.log",
        benchmark:
            f"{RESULTS}/benchmarks/base-{{which}}demos.tsv"
        wildcard_constraints:
            which="(warm-up-)?",
        group:
            group_of("base_demos")
        conda:
            "../envs/main.yaml"
        threads: STUDY.rollout.workers
        resources:
            **asked("base_demos"),
        params:
            code=lambda wildcards: code("demos", base_demos_part(wildcards)),
            settings=lambda wildcards: settings(base_demos_part(wildcards)),
            which=lambda wildcards: "warm-up" if wildcards.which else "pretraining",
        shell:
            "step demos --set-of {params.which} --workers {threads} > {log:q} 2>&1"


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
        group_of("replay")
    conda:
        "../envs/main.yaml"
    threads: STUDY.rollout.workers
    resources:
        **asked("replay"),
    params:
        code=code("replay"),
        settings=settings("replay"),
    shell:
        "step replay --out {output.record:q} --workers {threads} > {log:q} 2>&1"
