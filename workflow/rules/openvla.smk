# The published model (section `openvla` of the configuration): fetched, warmed up on few
# demonstrations unless `rebuild_base` is false, then one adapter a run and seed. 15 GB of weights
# stay where they are; a record of their checksums stands for them. The teacher's are fetched, too.

START = str(places.openvla_start(STUDY))
LOW = str(places.features_low(STUDY))
WARM_UP_DEMOS = str(places.demos(STUDY, "warm-up") / places.MANIFEST)


# Compute nodes often have no network.
localrules:
    base_fetch,


rule base_fetch:
    output:
        START,
    log:
        f"{RESULTS}/logs/base-fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/base-fetch.tsv"
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=480,
        gpu=0,
    params:
        sources=[
            STUDY.openvla.base,
            STUDY.training.align.teacher,
            STUDY.openvla.teacher,
        ],
    shell:
        "step base fetch > {log:q} 2>&1"


if STUDY.rebuild_base:

    rule base_warm_up:
        input:
            start=START,
            demos=WARM_UP_DEMOS,
        output:
            [update(path) for path in BASE],
        log:
            f"{RESULTS}/logs/base-warm-up.log",
        benchmark:
            f"{RESULTS}/benchmarks/base-warm-up.tsv"
        group:
            group_of("base_warm_up")
        conda:
            "../envs/main.yaml"
        threads: STUDY.openvla.gpus
        resources:
            **asked("base_warm_up"),
        params:
            code=code("openvla_training", "warm_up"),
            settings=settings("warm_up"),
        shell:
            "step base warm-up > {log:q} 2>&1"


rule features_low:
    input:
        demos=f"{RESULTS}/demos/manifest.json",
    output:
        update(LOW),
    log:
        f"{RESULTS}/logs/features-low.log",
    benchmark:
        f"{RESULTS}/benchmarks/features-low.tsv"
    group:
        group_of("features_low")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("features_low"),
    params:
        code=code("openvla_pictures", "features_low"),
        settings=settings("features_low"),
    shell:
        "step features low > {log:q} 2>&1"


rule train:
    input:
        base=BASE,
        demos=f"{RESULTS}/demos/manifest.json",
        low=LOW,
    output:
        [
            update(f"{RESULTS}/training/{{run}}/{{seed}}/{name}")
            for name in [*places.RUN_FILES, places.STATISTICS]
        ],
    log:
        f"{RESULTS}/logs/train-{{run}}-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{run}}-{{seed}}.tsv"
    group:
        group_of("train")
    conda:
        "../envs/main.yaml"
    threads: STUDY.openvla.gpus
    resources:
        **asked("train"),
    params:
        code=lambda wildcards: code("openvla_training", "training", wildcards.run),
        settings=lambda wildcards: settings("training", wildcards.run),
    shell:
        "step train --run {wildcards.run:q} --seed {wildcards.seed:q} > {log:q} 2>&1"
