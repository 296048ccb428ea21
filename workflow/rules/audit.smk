# The audit: a verdict on every published claim, from the records alone.
# It fails, after its pages are written, if a record or a rendered table was changed by hand.


rule audit:
    input:
        records=rules.table1.input.records,
        tables=rules.table1.output,
        claims=["paper/claims.yaml", "paper/defects.yaml"],
        templates=[
            f"paper/templates/audit.{name}"
            for name in ["md.j2", "html.j2", "css", "js"]
        ],
    output:
        pages("audit", ["md", "json", "html"], "Audit", "audit"),
    log:
        f"{RESULTS}/logs/audit.log",
    benchmark:
        f"{RESULTS}/benchmarks/audit.tsv"
    group:
        group_of("audit")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("audit"),
    params:
        code=source_hash(*CODE["audit"]),
        settings=json.dumps(STUDY.model_dump(mode="json"), sort_keys=True),
    shell:
        "step audit > {log:q} 2>&1"
