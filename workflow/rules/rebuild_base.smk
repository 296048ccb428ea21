# Making the base: pictures with questions, broad demonstrations, two stages of pretraining, warm-up.
# Hours on two cores. Trainings run in one or two processes with the same result.

REBUILT = str(places.rebuilt(STUDY))
TOWER, VLM, ROBOT = (
    model_files(f"{REBUILT}/{stage}") for stage in ("tower", "vlm", "robot")
)
TRAINERS = min(2, STUDY.rollout.workers)


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


rule base_tower:
    input:
        pictures=f"{REBUILT}/questions/manifest.json",
    output:
        [update(path) for path in TOWER],
    log:
        f"{RESULTS}/logs/base-tower.log",
    benchmark:
        f"{RESULTS}/benchmarks/base-tower.tsv"
    group:
        group_of("base_tower")
    conda:
        "../envs/main.yaml"
    threads: TRAINERS
    resources:
        **asked("base_tower"),
    params:
        code=code("tower"),
        settings=settings("tower"),
    shell:
        "step base tower --workers {threads} > {log:q} 2>&1"


rule base_vlm:
    input:
        start=TOWER,
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
        start=ROBOT,
        vlm=f"{REBUILT}/vlm/model.safetensors",
        pictures=f"{REBUILT}/questions/manifest.json",
        demos=f"{REBUILT}/warm-up-demos/manifest.json",
    output:
        [update(path) for path in BASE],
        vlm=update(f"{REBUILT}/vlm.safetensors"),
        answers=update(f"{REBUILT}/questions.json"),
    log:
        f"{RESULTS}/logs/base-warm-up.log",
    benchmark:
        f"{RESULTS}/benchmarks/base-warm-up.tsv"
    group:
        group_of("base_warm_up")
    conda:
        "../envs/main.yaml"
    threads: 1
    resources:
        **asked("base_warm_up"),
    params:
        code=code("warm_up"),
        answers_code=source_hash(*CODE["answers"]),
        settings=settings("warm_up"),
    shell:
        "step base warm-up > {log:q} 2>&1"
