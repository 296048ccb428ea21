# The base model: pulled from the store, or fetched where it is a published one (`base.source`);
# with `rebuild_base` it is made, or warmed up.

# No parameter of the rule: another place of the Python must not make the job run again.
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")


if STUDY.base.source is not None:
    FETCHED = str(places.fetched_record(STUDY))

    # Compute nodes often have no network.
    localrules:
        base_fetch,

    # 15 GB of weights stay where they are; a record of their checksums stands for them. The
    # teacher's are fetched, too.
    rule base_fetch:
        output:
            FETCHED,
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
                STUDY.base.source,
                STUDY.training.align.teacher,
                STUDY.training.align.teacher_weights,
            ],
        shell:
            "step base fetch > {log:q} 2>&1"


if STUDY.rebuild_base:

    include: "rebuild_base.smk"

elif STUDY.base.source is None:
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
