# The base model: pulled from the store, unless `rebuild_base` says to make it.

# No parameter of the rule: another place of the Python must not make the job run again.
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")


if STUDY.rebuild_base:

    include: "rebuild_base.smk"

else:
    one_line(bring_along, STUDY)

    # Compute nodes often have no network, and it takes a second.
    localrules:
        pull_base,

    rule pull_base:
        input:
            pointer=lambda wildcards: one_line(pointer_file),
        output:
            BASE,
        log:
            f"{RESULTS}/logs/pull_base.log",
        benchmark:
            f"{RESULTS}/benchmarks/pull_base.tsv"
        conda:
            "../envs/main.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        shell:
            f"(set -x; {PYTHON} -m unblind.cli base pull) > {{log:q}} 2>&1"
