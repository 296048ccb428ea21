# Tables, from the records alone.

DEMOS, REPLAY = one_line(carried.sources, STUDY)


rule table1:
    input:
        records=expand(
            "{results}/rollouts/{run}/{seed}/{condition}.parquet",
            results=RESULTS,
            run=[run for run in STUDY.table1.rows if run in STUDY.runs],
            seed=STUDY.seeds,
            condition=[condition.name for condition in CONDITIONS],
        ),
        # The study's own, or the copies that pulled runs bring along.
        manifest=str(DEMOS / places.MANIFEST),
        replay=str(REPLAY),
        # A pulled base brings its answers, if it has any.
        answers=(
            [f"{REBUILT}/questions.json"]
            if STUDY.rebuild_base and STUDY.openvla is None
            else []
        ),
        claims="paper/claims.yaml",
        templates=expand("paper/templates/table1.{kind}.j2", kind=["md", "tex"]),
    output:
        pages("table1", ["md", "csv", "tex"], "Table 1", "table1"),
    log:
        f"{RESULTS}/logs/table1.log",
    benchmark:
        f"{RESULTS}/benchmarks/table1.tsv"
    group:
        group_of("table1")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("table1"),
    params:
        code=source_hash(*CODE["table1"]),
        settings=settings("table1"),
    shell:
        "step table1 > {log:q} 2>&1"


rule settings_table:
    input:
        published="paper/hyperparameters.yaml",
        templates=expand(
            "paper/templates/hyperparameters.{kind}.j2", kind=["md", "tex"]
        ),
    output:
        pages("table{number}", ["md", "tex"], "Table {number}", "settings_table"),
    log:
        f"{RESULTS}/logs/table{{number}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table{{number}}.tsv"
    wildcard_constraints:
        number="9|14",
    group:
        group_of("settings_table")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("settings_table"),
    params:
        code=source_hash(*CODE["table1"]),
        settings=lambda wildcards: one_line(shown_settings, wildcards.number),
    shell:
        "step hyperparameters {wildcards.number} > {log:q} 2>&1"


# What the stages took is known when the table is there, whose footer quotes them too.
rule costs:
    input:
        table=f"{RESULTS}/table1.md",
        paper=list(map(str, one_line(layers, Path("workflow/config/paper.yaml")))),
        templates=expand("paper/templates/costs.{kind}.j2", kind=["md", "tex"]),
    output:
        pages("costs", ["md", "tex"], "Costs", "costs"),
    log:
        f"{RESULTS}/logs/costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/costs.tsv"
    group:
        group_of("costs")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("costs"),
    params:
        code=source_hash(*COSTS_CODE),
        settings=json.dumps(STUDY.model_dump(mode="json"), sort_keys=True),
    shell:
        "step costs --page > {log:q} 2>&1"
