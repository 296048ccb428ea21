# Making the base. Ours: pictures with questions, broad demonstrations, two stages of pretraining;
# hours on two cores, in one or two processes with the same result. A published one needs no more
# than the warm-up on few demonstrations, as ours.

REBUILT = str(places.rebuilt(STUDY))
WARM_UP = {"demos": str(places.demos(STUDY, "warm-up") / places.MANIFEST)}
BESIDE = {}


if STUDY.base.source is not None:
    WARM_UP["start"] = FETCHED

else:
    VLM, ROBOT = (model_files(f"{REBUILT}/{stage}") for stage in ("vlm", "robot"))
    TRAINERS = min(2, STUDY.rollout.workers)
    WARM_UP |= {
        "start": ROBOT,
        "vlm": f"{REBUILT}/vlm/model.safetensors",
        "pictures": f"{REBUILT}/questions/manifest.json",
    }
    BESIDE = {
        "vlm": update(f"{REBUILT}/vlm.safetensors"),
        "answers": update(f"{REBUILT}/questions.json"),
    }

    rule base_questions:
        output:
            manifest=update(f"{REBUILT}/questions/manifest.json"),
        log:
            f"{RESULTS}/logs/base-questions.log",
        benchmark:
            f"{RESULTS}/benchmarks/base-questions.tsv"
        group:
            group_of("base_questions")
        conda:
            "../envs/main.yaml"
        threads: STUDY.rollout.workers
        resources:
            **asked("base_questions"),
        params:
            code=code("questions"),
            settings=settings("questions"),
        shell:
            "step base questions --workers {threads} > {log:q} 2>&1"

    rule base_vlm:
        input:
            pictures=f"{REBUILT}/questions/manifest.json",
        output:
            [update(path) for path in VLM],
        log:
            f"{RESULTS}/logs/base-vlm.log",
        benchmark:
            f"{RESULTS}/benchmarks/base-vlm.tsv"
        group:
            group_of("base_vlm")
        conda:
            "../envs/main.yaml"
        threads: TRAINERS
        resources:
            **asked("base_vlm"),
        params:
            code=code("vlm"),
            settings=settings("vlm"),
        shell:
            "step base vlm --workers {threads} > {log:q} 2>&1"

    rule base_robot:
        input:
            start=VLM,
            pictures=f"{REBUILT}/questions/manifest.json",
            demos=f"{REBUILT}/demos/manifest.json",
        output:
            [update(path) for path in ROBOT],
        log:
            f"{RESULTS}/logs/base-robot.log",
        benchmark:
            f"{RESULTS}/benchmarks/base-robot.tsv"
        group:
            group_of("base_robot")
        conda:
            "../envs/main.yaml"
        threads: TRAINERS
        resources:
            **asked("base_robot"),
        params:
            code=code("robot"),
            settings=settings("robot"),
        shell:
            "step base robot --workers {threads} > {log:q} 2>&1"


rule base_warm_up:
    input:
        **WARM_UP,
    output:
        [update(path) for path in BASE],
        **BESIDE,
    log:
        f"{RESULTS}/logs/base-warm-up.log",
    benchmark:
        f"{RESULTS}/benchmarks/base-warm-up.tsv"
    group:
        group_of("base_warm_up")
    conda:
        "../envs/main.yaml"
    threads: STUDY.training.gpus
    resources:
        **asked("base_warm_up"),
    params:
        code=code("warm_up"),
        answers_code=source_hash(*CODE["answers"]) if BESIDE else None,
        settings=settings("warm_up"),
    shell:
        "step base warm-up > {log:q} 2>&1"
