# Fine-tuning: what is computed once for all runs, then one adapter a run and seed. On a CPU all have
# one thread for each process, so that two run at once on two cores.

SEEN, TEACHER = str(places.seen(STUDY)), str(places.features_teacher(STUDY))


if STUDY.base.source is None:

    rule features_low:
        input:
            base=BASE,
            demos=f"{RESULTS}/demos/manifest.json",
        output:
            update(SEEN),
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
            code=code("features_low"),
            settings=settings("features_low"),
        shell:
            "step features low > {log:q} 2>&1"

    rule features_teacher:
        input:
            sizes=f"{base_dir(STUDY)}/config.json",
            demos=f"{RESULTS}/demos/manifest.json",
        output:
            update(TEACHER),
        log:
            f"{RESULTS}/logs/features-teacher.log",
        benchmark:
            f"{RESULTS}/benchmarks/features-teacher.tsv"
        group:
            group_of("features_teacher")
        conda:
            "../envs/main.yaml"
        threads: 1
        resources:
            **asked("features_teacher"),
        params:
            code=code("features_teacher"),
            settings=settings("features_teacher"),
        shell:
            "step features teacher > {log:q} 2>&1"

else:

    rule pictures:
        input:
            demos=f"{RESULTS}/demos/manifest.json",
        output:
            update(SEEN),
        log:
            f"{RESULTS}/logs/pictures.log",
        benchmark:
            f"{RESULTS}/benchmarks/pictures.tsv"
        group:
            group_of("pictures")
        conda:
            "../envs/main.yaml"
        threads: 1
        resources:
            **asked("pictures"),
        params:
            code=code("pictures"),
            settings=settings("pictures"),
        shell:
            "step features pictures > {log:q} 2>&1"


rule train:
    input:
        base=BASE,
        demos=f"{RESULTS}/demos/manifest.json",
        seen=SEEN,
        teacher=lambda wildcards: (
            [TEACHER]
            if STUDY.run(wildcards.run).method == "align" and STUDY.base.source is None
            else []
        ),
    output:
        [
            update(f"{RESULTS}/training/{{run}}/{{seed}}/{name}")
            for name in places.run_files(STUDY)
        ],
    log:
        f"{RESULTS}/logs/train-{{run}}-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train-{{run}}-{{seed}}.tsv"
    group:
        group_of("train")
    conda:
        "../envs/main.yaml"
    threads: STUDY.training.gpus
    resources:
        **asked("train"),
    params:
        code=lambda wildcards: code("training", run=wildcards.run),
        settings=lambda wildcards: settings("training", wildcards.run),
    shell:
        "step train --run {wildcards.run:q} --seed {wildcards.seed:q} > {log:q} 2>&1"
