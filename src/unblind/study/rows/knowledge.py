"""Stages that measure what models know and how they represent it."""

from dataclasses import replace

from unblind.study.rows import base, runs
from unblind.study.rows.names import (
    ADAPTER_FILES,
    KNOCKOUTS,
    MANIFEST,
    REFERENCES,
    THINK_DOMAINS,
)
from unblind.study.rows.scope import (
    ACTING,
    ACTING_MODELS,
    MODELS,
    PLANNERS,
    TRAINED,
    asks,
    has_own_model,
    has_plane,
    is_of_study,
    is_own,
    is_trained_teacher,
    is_vlm,
    looks_inside,
    spans_plane,
)
from unblind.study.rows.shared import (
    BASE,
    BOARD_DRAWING,
    BOARDS,
    CACHE,
    DEMONSTRATIONS,
    DEMOS,
    MODEL,
    PRETRAINING,
    PROBE_SETTINGS,
    PROBING,
    ROLLOUT,
    SCENE,
    within,
)
from unblind.study.stage import Input, Stage

ROWS: dict[str, Stage] = {}

ROWS["think_scripted"] = Stage(
    title="Take a planner through VL-Think",
    command="think",
    group="think",
    outputs=tuple(f"{{results}}/think/{{run}}/{{seed}}/{name}.parquet" for name in THINK_DOMAINS),
    settings=SCENE | {"demos": {"euler"}, "think": BOARDS, "rollout": {"purpose", "max_steps"}},
    modules=(
        *ROLLOUT,
        "unblind.rollout.thinking",
        *BOARD_DRAWING,
    ),
    per=PLANNERS,
    seeded=True,
    rule="think",
    request="think_scripted",
    processes=0,
)
ROWS["think"] = replace(
    ROWS["think_scripted"],
    title="Take a model through VL-Think",
    settings=SCENE
    | {
        "base": {"unnorm_key"},
        "demos": {"euler"},
        "training": {"precision"},
        "think": BOARDS,
        "rollout": {"purpose", "max_steps", "temperature"},
    },
    modules=(*ROWS["think_scripted"].modules, *MODEL, "unblind.training.base", "unblind.fetched"),
    inputs=runs.ROWS["rollout"].inputs,
    per=ACTING,
    rows=lambda config: config.think.rows or config.table1.rows,
    rule="",
    request="",
)
ROWS["think_frames"] = Stage(
    title="Draw the first frames of VL-Think",
    command="think-answers --frames",
    group="answers",
    outputs=("{results}/think-frames/frames.parquet",),
    settings=SCENE | {"seed": True, "think": {"frames", "styles"}, "rollout": {"purpose"}},
    modules=("unblind.png", "unblind.sim", *BOARD_DRAWING),
    when=asks,
    scratch=True,
    unit_cpu_s=0.25,
)
ROWS["held_out"] = replace(
    base.ROWS["questions"],
    title="Draw the held-out pictures with questions",
    seed_offset=1_000_000,  # by those of `questions` a base's recipe is chosen: these are others
    command="base held-out",
    group="answers",
    outputs=(f"{{results}}/held-out/{MANIFEST}",),
    settings={"seed": True, "base": {"questions": {"held_out"}}},
    when=is_own,
)
ROWS["answers"] = Stage(
    title="Ask a model the held-out questions",
    command="answers",
    group="answers",
    outputs=("{results}/answers/{run}/{seed}.parquet",),
    settings={"answers": True},
    modules=(
        *PRETRAINING,
        "unblind.diagnosis.models",
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(
        BASE,
        Input("pull_vlm", when=is_vlm),
        Input("vlm_copy", when=is_vlm),
        Input("training", ADAPTER_FILES),
        Input("held_out"),
    ),
    per=MODELS,
    when=is_own,
    unit_cpu_s=0.02,
)
ROWS["think_answers"] = replace(
    ROWS["answers"],
    title="Ask a model about the first frames of VL-Think",
    command="think-answers",
    outputs=("{results}/think-answers/{run}/{seed}.parquet",),
    settings={"seed": True, "fidelity": True, "think": {"frames", "styles"}},
    modules=(
        *ROWS["answers"].modules,
        *("unblind.pictures.questions", "unblind.sim", "unblind.think.questions"),
        *BOARD_DRAWING,
    ),
    inputs=(*ROWS["answers"].inputs[:-1], Input("think_frames")),
)
ROWS["drift"] = Stage(
    title="Follow drift and forgetting through a training",
    command="drift",
    group="diagnosis",
    outputs=tuple(f"{{results}}/drift/{{run}}/{{seed}}{part}.parquet" for part in ("", "-answers")),
    settings={
        "seed": True,
        "drift": {"pictures", "answered", "resamples"},
        "demos": {"noop_filter"},
        "training": {"schedule": {"steps"}},
    },
    modules=(
        *PRETRAINING,
        *within("diagnosis", "drift", "forgetting", "layers", "models", "pictures"),
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(BASE, DEMOS, Input("training", ADAPTER_FILES), Input("held_out")),
    per=TRAINED,
    when=is_own,
    unit_cpu_s=0.12,
)
ROWS["gradients"] = Stage(
    title="Compare the gradients of action and alignment",
    command="gradients",
    group="diagnosis",
    outputs=("{results}/gradients/{run}/{seed}.parquet",),
    settings={
        "seed": True,
        "gradients": True,
        "demos": {"noop_filter"},
        "training": {"align": True, "loss": True, "recipe": True},
    },
    modules=(*PRETRAINING, *CACHE, "unblind.align", "unblind.diagnosis.gradients"),
    inputs=(
        BASE,
        DEMOS,
        Input("features_low"),
        Input("features_teacher"),
        Input("training", ADAPTER_FILES),
    ),
    per=TRAINED,
    when=is_own,
    unit_cpu_s=0.035,
)
ROWS["landscape"] = Stage(
    title="Measure losses on the plane through base and two runs",
    command="landscape",
    group="diagnosis",
    outputs=tuple(f"{{results}}/landscape/{name}.parquet" for name in ("points", "values")),
    settings={
        "seed": True,
        "landscape": True,
        "demos": {"noop_filter"},
        "training": {"schedule": {"steps"}, "align": True, "loss": True, "recipe": True},
    },
    modules=(
        *PRETRAINING,
        *CACHE,
        "unblind.align",
        *within("diagnosis", "landscape", "models", "plane"),
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(
        BASE,
        DEMOS,
        Input("features_low"),
        Input("features_teacher", of=is_of_study),
        Input("training", ADAPTER_FILES, of=spans_plane),
        Input("held_out"),
    ),
    when=has_plane,
    unit_cpu_s=0.05,
)
ROWS["frames"] = Stage(
    title="Draw frames with the place of every thing",
    command="frames",
    group="diagnosis",
    outputs=tuple(f"{{results}}/frames/{name}.parquet" for name in ("episodes", "classes")),
    settings=SCENE
    | {"seed": True, "demos": {"noop_filter", "euler"}, "frames": True, "collapse": {"classes"}},
    modules=(*DEMONSTRATIONS, *within("diagnosis", "drawing", "frames", "segments")),
    when=looks_inside,
    seeded=True,
    scratch=True,
    unit_cpu_s=2.8,
)
ROWS["attention"] = Stage(
    title="Record where a model looks",
    command="attention",
    group="diagnosis",
    # Numbers, maps of a few frames, and predictions with parts of the picture hidden.
    outputs=tuple(
        f"{{results}}/{name}/{{run}}/{{seed}}.parquet"
        for name in ("attention", "attention-maps", "knockout")
    ),
    settings={"seed": True, "attention": True, "base": {"unnorm_key"}},
    modules=(
        *PRETRAINING,
        *within("diagnosis", "attention", "frames", "hiding", "knockout", "models"),
    ),
    inputs=(BASE, Input("training", ADAPTER_FILES), Input("frames", ("episodes.parquet",))),
    per=ACTING_MODELS,
    when=has_own_model,
    unit_cpu_s=0.6,
)
ROWS["knockout"] = replace(
    runs.ROWS["rollout"],
    title="Evaluate a model that cannot see the target",
    command="rollout --knockout",
    group="diagnosis",
    outputs=tuple(
        f"{{results}}/knockout-rollouts/{{run}}/{{seed}}/{name}.parquet" for name in KNOCKOUTS
    ),
    settings=SCENE
    | {
        "base": {"unnorm_key"},
        "training": {"precision"},
        "knockout": True,
        "rollout": {
            *("purpose", "max_steps", "temperature"),
            *("at_random", "in_distribution_at_random"),
        },
    },
    modules=(
        *runs.ROWS["rollout"].modules,
        "unblind.png",
        *within("diagnosis", "frames", "hiding", "segments"),
        "unblind.steps.knocking_out",
    ),
    when=has_own_model,
    request="rollout",
)
ROWS["collapse"] = Stage(
    title="Record how far apart a model keeps classes",
    command="collapse",
    group="diagnosis",
    outputs=("{results}/collapse/{run}/{seed}.parquet",),
    settings={"collapse": True},
    modules=(
        *PRETRAINING,
        *within("diagnosis", "attention", "collapse", "frames", "models"),
    ),
    inputs=(*ROWS["answers"].inputs[:-1], Input("frames", ("classes.parquet",))),
    per=MODELS,
    when=has_own_model,
    unit_cpu_s=3.0,
)
ROWS["probe_pictures"] = Stage(
    title="Make the pictures of the linear probes",
    command="probe-pictures",
    group="probe",
    outputs=(f"{{results}}/probe-pictures/{MANIFEST}",),
    settings={
        "seed": True,
        "catalog": True,
        "base": {"model": {"image_size"}},
        "probe": {
            *("imagenet", "icons", "portraits", "portraits_test", "stills", "stills_test"),
        },
    },
    modules=(
        *("unblind.png", "unblind.sim"),
        *within("pictures", "collages", "icons", "pictograms", "portraits", "scenes", "stills"),
        *within("diagnosis", "emblems", "imagenet", "probe_pictures", "targets"),
    ),
    when=has_own_model,
    seeded=True,
    scratch=True,
    unit_cpu_s=0.017,
)
ROWS["probe"] = Stage(
    title="Probe a model: its visual tokens, and the board that is named",
    command="probe",
    group="probe",
    # What visual tokens hold, and what the prompt's last token holds of the instruction.
    outputs=tuple(
        f"{{results}}/{name}/{{run}}/{{seed}}.parquet" for name in ("probe", "named-board")
    ),
    settings={
        "seed": True,
        "fidelity": True,
        "think": {"frames", "styles"},
        "probe": PROBE_SETTINGS,
    },
    modules=(
        *PROBING,
        *within("diagnosis", "attention", "frames", "models", "named_board"),
        "unblind.sim",
        *BOARD_DRAWING,
    ),
    inputs=(
        BASE,
        Input("pull_vlm", when=is_vlm),
        Input("vlm_copy", when=is_vlm),
        Input("training", ADAPTER_FILES),
        Input("probe_pictures"),
        Input("think_frames"),
    ),
    per=MODELS,
    when=has_own_model,
    unit_cpu_s=0.046,
)
ROWS["probe_teacher"] = Stage(
    title="Probe the tokens of a teacher",
    command="probe-teacher",
    group="probe",
    outputs=("{results}/probe/teachers/{teacher}.parquet",),
    settings={
        "seed": True,
        "probe": PROBE_SETTINGS,
        "training": {"align": {"teacher", "teacher_weights", "interpolate"}},
    },
    modules=(*PROBING, "unblind.teachers"),
    each_teacher=True,
    inputs=(
        Input("base", ("config.json",)),
        Input("probe_pictures"),
        Input("contrastive", of=is_trained_teacher),
    ),
    when=has_own_model,
    unit_cpu_s=0.053,
)
ROWS["probe_references"] = Stage(
    title="Probe pixels and a network with random weights",
    command="probe-references",
    group="probe",
    outputs=tuple(f"{{results}}/probe/{name}.parquet" for name in REFERENCES),
    settings={"seed": True, "probe": PROBE_SETTINGS},
    modules=(*PROBING, *within("vla", "random"), "unblind.machine"),
    inputs=(Input("base", ("config.json",)), Input("probe_pictures")),
    when=has_own_model,
    unit_cpu_s=0.044,
)
