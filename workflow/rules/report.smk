# Tables, from the records alone.


rule table1:
    input:
        records=expand(
            "{results}/rollouts/{run}/{seed}/{condition}.parquet",
            results=RESULTS,
            run=[run for run in STUDY.table1.rows if run in STUDY.runs],
            seed=STUDY.seeds,
            condition=[condition.name for condition in CONDITIONS],
        ),
        manifest=f"{RESULTS}/demos/manifest.json",
        replay=f"{RESULTS}/replay.parquet",
        # A pulled base brings its answers, if it has any.
        answers=[f"{REBUILT}/questions.json"] if STUDY.rebuild_base else [],
        claims="paper/claims.yaml",
        templates=expand("paper/templates/table1.{kind}.j2", kind=["md", "tex"]),
    output:
        expand("{results}/table1.{kind}", results=RESULTS, kind=["md", "csv", "tex"]),
    log:
        f"{RESULTS}/logs/table1.log",
    benchmark:
        f"{RESULTS}/benchmarks/table1.tsv"
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        code=CODE_HASH["table1"],
        settings=settings("table1"),
    shell:
        "step table1 > {log:q} 2>&1"
