# One rule for each stage of the study, as the table in src/unblind/study/stages.py has it. Results
# of stages are `update` files: Snakemake leaves what stands, the commands decide what is outdated.

for name in STUDY.rules:

    rule:
        name:
            name
        input:
            STUDY.inputs(name),
        output:
            STUDY.outputs(name),
        log:
            STUDY.log(name),
        benchmark:
            STUDY.benchmark(name)
        group:
            STUDY.group(name)
        localrule: STUDY.is_local(name)
        conda:
            "../envs/main.yaml"
        threads: STUDY.threads(name)
        resources:
            **STUDY.resources(name),
        params:
            command=STUDY.command(name),
            origin=STUDY.origin(name),
        shell:
            "threads={threads}; {params.command} > {log:q} 2>&1"
