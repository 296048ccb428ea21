"""Stages from demonstrations to trained runs and their evaluation."""

from dataclasses import replace

from unblind.config.kinds import RECIPE
from unblind.study.rows import base
from unblind.study.rows.names import ADAPTER_FILES, MANIFEST, RUN_FILES, STATISTICS
from unblind.study.rows.scope import (
    ACTING,
    SCRIPTED,
    SERVED,
    TRAINED,
    is_aligned,
    is_own,
    is_published,
    is_trained_teacher,
    trains_teacher,
)
from unblind.study.rows.shared import (
    BASE,
    CACHE,
    DEMO_SETTINGS,
    DEMONSTRATIONS,
    DEMOS,
    DRAWN,
    FINETUNING,
    MODEL,
    ROLLOUT,
    RUN,
    SCENE,
    files,
    keys,
    within,
)
from unblind.study.stage import Beside, Input, Stage

ROWS = {
    "demos": Stage(
        title="Collect the planner's demonstrations",
        command="demos",
        group="demos",
        outputs=(f"{{results}}/demos/{MANIFEST}",),
        settings=DEMO_SETTINGS,
        modules=DEMONSTRATIONS,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.65,
        processes=0,
    ),
    "replay": Stage(
        title="Replay demonstrations open loop",
        command="replay",
        group="replay",
        outputs=("{results}/replay.parquet",),
        settings=DEMO_SETTINGS | keys("replay"),
        modules=(
            *DEMONSTRATIONS,
            *within("rollout", "loop", "policies", "replay", "worker"),
            "unblind.vla.tokens",
        ),
        inputs=(DEMOS,),
        seeded=True,
        scratch=True,
        unit_cpu_s=1.1,
        processes=0,
    ),
    "features_low": Stage(
        title="Compute the features of the tower's frozen part",
        command="features low",
        group="features",
        outputs=("{results}/features/low.npy",),
        settings={"demos": {"noop_filter"}},
        modules=(*CACHE, *MODEL, "unblind.training.base", "unblind.fetched"),
        inputs=(BASE, DEMOS),
        when=is_own,
        scratch=True,
        unit_cpu_s=0.006,
    ),
    "contrastive_pictures": replace(
        base.ROWS["questions"],
        title="Draw the pictures of a teacher of our own",
        seed_offset=2_000_000,  # other pictures than the student's tower is trained on
        command="contrastive --pictures",
        group="teacher",
        outputs=(f"{{results}}/contrastive-pictures/{MANIFEST}",),
        settings={"seed": True, "contrastive": {"images"}},
        when=trains_teacher,
    ),
    "contrastive": replace(
        base.ROWS["tower"],
        title="Train a teacher of our own on regions and words",
        seed_offset=2_000_000,
        command="contrastive",
        group="teacher",
        outputs=files("{results}/contrastive"),
        settings={"seed": True, "contrastive": {"model", "schedule"}},
        inputs=(Input("contrastive_pictures"),),
        when=trains_teacher,
        unit_cpu_s=0.012,
    ),
    "features_teacher": Stage(
        title="Compute the teacher's features",
        command="features teacher",
        group="features",
        outputs=("{results}/features/{teacher}.npy",),
        settings={
            "demos": {"noop_filter"},
            "training": {"align": {"teacher", "teacher_weights", "interpolate"}},
        },
        modules=(*CACHE, *MODEL, "unblind.teachers"),
        each_teacher=True,
        # Of the base, they depend on its sizes alone.
        inputs=(
            Input("base", ("config.json",)),
            DEMOS,
            Input("contrastive", of=is_trained_teacher),
        ),
        when=is_own,
        scratch=True,
        unit_cpu_s=0.03,
    ),
    "pictures": Stage(
        title="Write the demonstrations' pictures at the model's size",
        command="features pictures",
        group="features",
        outputs=("{results}/features/pictures.npy",),
        settings={"demos": {"noop_filter"}, "base": {"model": {"image_size"}}},
        modules=(*CACHE, *MODEL),
        inputs=(DEMOS,),
        when=is_published,
        scratch=True,
        unit_cpu_s=0.06,
    ),
    "training": Stage(
        title="Fine-tune a run",
        command="train",
        group="training",
        outputs=(f"{RUN}/{ADAPTER_FILES[0]}",),
        settings={
            "demos": {"noop_filter"},
            "training": {"schedule", "rank", "alpha", "loss", "snapshots", "align", *RECIPE},
        },
        modules=(*FINETUNING, "unblind.align", "unblind.teachers"),
        inputs=(
            BASE,
            DEMOS,
            Input("features_low"),
            Input("pictures"),
            Input("features_teacher", when=is_aligned),
        ),
        beside=(
            *map(Beside, files(RUN, RUN_FILES[1:])),
            Beside(f"{RUN}/{STATISTICS}", lambda config, run: is_published(config)),
            Beside(f"{RUN}/projector.safetensors", lambda config, run: is_aligned(run)),
        ),
        per=TRAINED,
        seeded=True,
        unit_cpu_s=0.02,
        on_gpus=True,
    ),
    "rollout_scripted": Stage(
        title="Evaluate a scripted policy in closed loop",
        command="rollout",
        group="rollouts",
        outputs=("{results}/rollouts/{run}/{seed}/{condition}.parquet",),
        settings=SCENE | {"rollout": {*DRAWN, "max_steps"}},
        modules=ROLLOUT,
        per=SCRIPTED,
        seeded=True,
        rule="rollout",
        request="rollout_scripted",
        processes=0,
    ),
}
ROWS["rollout"] = replace(
    ROWS["rollout_scripted"],
    title="Evaluate a model in closed loop",
    settings=SCENE
    | {
        "base": {"unnorm_key"},
        "training": {"precision"},
        "rollout": {*DRAWN, "max_steps", "temperature"},
    },
    modules=(*ROLLOUT, *MODEL, "unblind.training.base", "unblind.fetched"),
    inputs=(BASE, Input("training", ADAPTER_FILES)),
    per=ACTING,
    rule="",
    request="",
)
ROWS["rollout_served"] = replace(
    ROWS["rollout_scripted"],
    title="Evaluate a policy behind a socket in closed loop",
    modules=(
        *ROLLOUT,
        *within("serving", "address", "channel", "client", "conventions", "evaluation"),
        *within("serving", "messages", "msgpack"),
        "unblind.vla.tokens",
    ),
    per=SERVED,
)
ROWS["arms"] = replace(
    ROWS["rollout"],
    title="Tell a model something else on the same episodes",
    command="rollout --arms",
    outputs=("{results}/rollouts/{run}/{seed}/{told}.parquet",),
    when=lambda config: any(config.rollout.arms.values()),
    request="rollout",
)
