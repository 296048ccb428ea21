"""The graph of a study as one table: what each stage reads, makes, costs and depends on.

Everything that knows stages reads this table: the rules of the workflow, the commands, sidecars,
`unblind verify` and `trace`, costs, the research-object crate and requests to a cluster. How a new
stage is added: docs/architecture.md. `unblind.study.jobs` binds it to a configuration.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unblind.config.sections import ABLATIONS, RECIPE
from unblind.study.stage import Beside, Input, Runs, Stage

#: The files of a model.
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "statistics.json")
#: Files of an adapter, of which the first carries the sidecar.
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "identity.json")
#: Files that make a folder a trained run: adapter, what tables tell of it, log.
RUN_FILES = (*ADAPTER_FILES, "run.json", "training.jsonl")
#: Beside an adapter of the published model: the action statistics that it was trained with.
STATISTICS = "dataset_statistics.json"
#: Every set of demonstrations or pictures has one, which names its other files by checksum.
MANIFEST = "manifest.json"
#: What represents a published checkpoint: the checksums of its files.
RECORD = "base.json"
#: Beside a base: the weights before robot pretraining.
VLM_FILE = "vlm.safetensors"


def _is_published(config: Any) -> bool:
    return config.base.source is not None


def _is_own(config: Any) -> bool:
    return config.base.source is None


def _has_own_model(config: Any) -> bool:
    rows = [config.runs[row] for row in config.table1.rows if row in config.runs]
    return _is_own(config) and any(map(_acts, rows))


def _is_rebuilt(config: Any) -> bool:
    return _is_own(config) and config.rebuild_base


def _is_pulled(config: Any) -> bool:
    return _is_own(config) and not config.rebuild_base


def _is_aligned(run: Any) -> bool:
    return run.method == "align"


def _is_trained(run: Any) -> bool:
    return run.method is not None


def _acts(run: Any) -> bool:
    return run.policy == "vla"


def _is_vlm(run: Any) -> bool:
    return run.policy == "vlm"


#: Runs with weights of their own, for each seed; models that act, and scripted policies, which
#: have episodes of their own for each seed; models, those that act or of any kind, of which those
#: that no run has trained are the same for all seeds: the base, and the VLM before robot
#: pretraining; planners that go to a board of VL-Think, once.
TRAINED = Runs(_is_trained)
ACTING = Runs(_acts)
SCRIPTED = Runs(lambda run: run.policy in ("oracle", "random", "noop"))
PLANNERS = Runs(lambda run: run.policy in ("oracle", "always_left"), each_seed=lambda run: False)
ACTING_MODELS = Runs(_acts, each_seed=_is_trained)
MODELS = Runs(lambda run: _acts(run) or _is_vlm(run), each_seed=_is_trained)


def _has_trained(config: Any) -> bool:
    """Tell whether a row of Table 1 is a trained run of our own base."""
    rows = (config.runs[row] for row in config.table1.rows if row in config.runs)
    return _is_own(config) and any(map(_is_trained, rows))


def _has_plane(config: Any) -> bool:
    """Tell whether both runs of the landscape are trained, and rows of Table 1."""
    rows = [run for run in config.table1.rows if run in config.runs]
    return _is_own(config) and all(
        run in rows and _is_trained(config.runs[run]) for run in config.landscape.runs
    )


def _spans(config: Any, run: str, seed: int) -> bool:
    return run in config.landscape.runs and seed == config.seeds[0]


def _in(package: str, *names: str) -> tuple[str, ...]:
    """Return modules of a package."""
    return tuple(f"unblind.{package}.{name}" for name in names)


def _keys(*names: str) -> dict[str, Any]:
    """Return a selection of whole sections or single keys."""
    return dict.fromkeys(names, True)


def _files(folder: str, names: tuple[str, ...] = MODEL_FILES) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


_REBUILT, _RUN = "{results}/rebuilt-base", "{results}/training/{run}/{seed}"
_SCENE = _keys("catalog", "catalog_missing", "fidelity", "render")
_DEMOS = _SCENE | _keys("seed", "demos")
_DRAWN = {
    *("purpose", "episodes", "in_distribution_episodes"),
    *("at_random", "in_distribution_at_random"),
}

_BOARDS = {"questions", "styles", "swap", "in_hand"}

#: Domains of VL-Think, one record each (`unblind.think.domains`).
THINK_DOMAINS = (
    *("shape", "color", "traffic", "laundry", "weather", "arrow"),
    *("public_info", "parity"),
)

#: What models are compared with by linear probes: a record each.
REFERENCES = ("teacher", "random", "pixels")

_MODEL = ("unblind.hub", "unblind.vla", "unblind.weights")
#: What draws VL-Think's boards and puts them on the table.
_BOARD_DRAWING = (
    *_in("pictures", "collages", "icons", "pictograms", "scenes"),
    *_in("think", "boards", "domains", "drawings", "episodes"),
)
_DEMONSTRATIONS = ("unblind.demos", "unblind.png", "unblind.sim")
_FRAMES = (
    *_in("demos", "labels", "shards"),
    "unblind.png",
    "unblind.training.frames",
    "unblind.vla",
)
_CACHE = (*_FRAMES, *_in("training", "cache"))
_DRAWING = (
    *("unblind.pictures", "unblind.png", "unblind.sim"),
    *_in("vla", "documents", "text"),
)
_LEARNING = (
    *_FRAMES,
    *_MODEL,
    *_in("training", "augment", "feed", "losses", "loop", "meter", "state", "team"),
)
_PRETRAINING = (*_LEARNING, *_in("training", "data", "pretrain"))
_FROM_PICTURES = (
    *_PRETRAINING,
    *_in("training", "album", "cache"),
    "unblind.demos.pretraining",
    "unblind.pictures",
    "unblind.sim",
)
_FINETUNING = (*_LEARNING, *_CACHE, *_in("training", "base", "finetune", "throughput"))
_ROLLOUT = (
    "unblind.sim",
    *_in("rollout", "draw", "factory", "loop", "policies", "records", "run", "told", "trained"),
    "unblind.rollout.worker",
)
_PROBING = (
    *_MODEL,
    "unblind.png",
    *_in("diagnosis", "layers", "probe_pictures", "probing"),
)
_PROBE = {"standardised", "optimizer", "momentum", "rate", "weight_decay", "epochs", "batch"}
_REPORT = ("unblind.png", "unblind.report", *_in("sim", "conditions", "success"))
_WARM_UP = {
    "seed": True,
    "demos": {"noop_filter"},
    "base": {"warm_up", "loss", "unnorm_key"},
    "training": {"rank", "alpha", *RECIPE},
}

BASE, DEMOS = Input("base"), Input("demos")

_STAGES = {
    "pull": Stage(
        title="Pull the published base",
        command="base pull",
        group="base",
        outputs=_files("results/base"),
        settings=None,
        modules=(),
        when=_is_pulled,
        is_local=True,
    ),
    "pull_vlm": Stage(
        title="Pull its weights before robot pretraining",
        command="base pull",
        group="base",
        outputs=(f"results/base/{VLM_FILE}",),
        settings=None,
        modules=(),
        when=_is_pulled,
        rule="pull",
        is_local=True,
    ),
    "fetch": Stage(
        title="Fetch a published checkpoint",
        command="base fetch",
        group="base",
        outputs=(f"{{results}}/published-base/{RECORD}",),
        settings={"base": {"source"}, "training": {"align": {"teacher", "teacher_weights"}}},
        modules=(*_MODEL, "unblind.training.base"),
        when=_is_published,
        is_local=True,
    ),
    "questions": Stage(
        title="Draw pictures with questions and answers",
        command="base questions",
        group="base",
        outputs=(f"{_REBUILT}/questions/{MANIFEST}",),
        settings={"seed": True, "base": {"questions": {"images", "held_out"}}},
        modules=_DRAWING,
        when=_is_rebuilt,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.008,
        processes=0,
    ),
    "pretraining_demos": Stage(
        title="Collect demonstrations for pretraining",
        command="demos --set-of pretraining",
        group="base",
        outputs=(f"{_REBUILT}/demos/{MANIFEST}",),
        settings=_DEMOS | {"base": {"demos"}},
        modules=_DEMONSTRATIONS,
        when=_is_rebuilt,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.75,
        processes=0,
    ),
    "tower": Stage(
        title="Pretrain the vision tower on regions and words",
        command="base tower",
        group="base",
        outputs=_files(f"{_REBUILT}/tower"),
        settings={"seed": True, "base": _keys("model", "tower")},
        # Its vocabulary is made of the simulator's names and templates, and of all questions.
        modules=(*_FROM_PICTURES, *_in("training", "tower")),
        inputs=(Input("questions"),),
        when=_is_rebuilt,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.008,
        processes=2,
    ),
    "vlm": Stage(
        title="Pretrain the model on pictures with questions",
        command="base vlm",
        group="base",
        outputs=_files(f"{_REBUILT}/vlm"),
        settings={"seed": True, "base": _keys("vlm", "loss")},
        modules=(*_FROM_PICTURES, *_in("training", "vlm")),
        inputs=(Input("tower"), Input("questions")),
        when=_is_rebuilt,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.045,
        processes=2,
    ),
    "robot": Stage(
        title="Pretrain the model on demonstrations",
        command="base robot",
        group="base",
        outputs=_files(f"{_REBUILT}/robot"),
        settings={
            "seed": True,
            "demos": {"noop_filter"},
            "base": _keys("robot", "robot_questions", "loss", "jitter", "jittered_copies")
            | {"questions": {"turns"}},
        },
        modules=(*_FROM_PICTURES, *_in("training", "robot", "vlm")),
        # Of the tower's stage, the features of the pictures.
        inputs=(Input("vlm"), Input("pretraining_demos"), Input("questions"), Input("tower")),
        when=_is_rebuilt,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.03,
        processes=2,
    ),
    "warm_up_demos": Stage(
        title="Collect demonstrations for the warm-up",
        command="demos --set-of warm-up",
        group="base",
        outputs=(f"{_REBUILT}/warm-up-demos/{MANIFEST}",),
        settings=_DEMOS | {"base": {"warm_up_episodes"}},
        modules=_DEMONSTRATIONS,
        when=lambda config: config.rebuild_base,
        seeded=True,
        scratch=True,
        unit_cpu_s=0.65,
        processes=0,
    ),
    "warm_up": Stage(
        title="Warm the base up",
        command="base warm-up",
        group="base",
        outputs=_files(_REBUILT),
        settings=_WARM_UP,
        modules=_FINETUNING,
        inputs=(Input("robot"), Input("warm_up_demos")),
        when=_is_rebuilt,
        seeded=True,
        unit_cpu_s=0.02,
        on_gpus=True,
    ),
    # Weights of published checkpoints are large: a record of their checksums represents them.
    "published_warm_up": Stage(
        title="Warm the published checkpoint up",
        command="base warm-up",
        group="base",
        outputs=(f"{_REBUILT}/{RECORD}",),
        settings=_WARM_UP,
        modules=_FINETUNING,
        inputs=(Input("fetch"), Input("warm_up_demos")),
        when=lambda config: _is_published(config) and config.rebuild_base,
        seeded=True,
        rule="warm_up",
        on_gpus=True,
    ),
    "vlm_copy": Stage(
        title="Keep the weights before robot pretraining",
        command="base warm-up",
        group="base",
        outputs=(f"{_REBUILT}/{VLM_FILE}",),
        settings={},
        modules=("unblind.files",),
        inputs=(Input("vlm", ("model.safetensors",)),),
        when=_is_rebuilt,
        rule="warm_up",
    ),
    "demos": Stage(
        title="Collect the planner's demonstrations",
        command="demos",
        group="demos",
        outputs=(f"{{results}}/demos/{MANIFEST}",),
        settings=_DEMOS,
        modules=_DEMONSTRATIONS,
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
        settings=_DEMOS | _keys("replay"),
        modules=(
            *_DEMONSTRATIONS,
            *_in("rollout", "loop", "policies", "replay", "worker"),
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
        modules=(*_CACHE, *_MODEL, "unblind.training.base"),
        inputs=(BASE, DEMOS),
        when=_is_own,
        scratch=True,
        unit_cpu_s=0.006,
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
        modules=(*_CACHE, *_MODEL, "unblind.teachers"),
        each_teacher=True,
        # Of the base, they depend on its sizes alone.
        inputs=(Input("base", ("config.json",)), DEMOS),
        when=_is_own,
        scratch=True,
        unit_cpu_s=0.03,
    ),
    "pictures": Stage(
        title="Write the demonstrations' pictures at the model's size",
        command="features pictures",
        group="features",
        outputs=("{results}/features/pictures.npy",),
        settings={"demos": {"noop_filter"}, "base": {"model": {"image_size"}}},
        modules=(*_CACHE, *_MODEL),
        inputs=(DEMOS,),
        when=_is_published,
        scratch=True,
        unit_cpu_s=0.06,
    ),
    "training": Stage(
        title="Fine-tune a run",
        command="train",
        group="training",
        outputs=(f"{_RUN}/{ADAPTER_FILES[0]}",),
        settings={
            "demos": {"noop_filter"},
            "training": {"schedule", "rank", "alpha", "loss", "snapshots", "align", *RECIPE},
        },
        modules=(*_FINETUNING, "unblind.align", "unblind.teachers"),
        inputs=(
            BASE,
            DEMOS,
            Input("features_low"),
            Input("pictures"),
            Input("features_teacher", when=_is_aligned),
        ),
        beside=(
            *map(Beside, _files(_RUN, RUN_FILES[1:])),
            Beside(f"{_RUN}/{STATISTICS}", lambda config, run: _is_published(config)),
            Beside(f"{_RUN}/projector.safetensors", lambda config, run: _is_aligned(run)),
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
        settings=_SCENE | {"rollout": {*_DRAWN, "max_steps"}},
        modules=_ROLLOUT,
        per=SCRIPTED,
        seeded=True,
        rule="rollout",
        request="rollout_scripted",
        processes=0,
    ),
}
_STAGES["rollout"] = replace(
    _STAGES["rollout_scripted"],
    title="Evaluate a model in closed loop",
    settings=_SCENE
    | {
        "base": {"unnorm_key"},
        "training": {"precision"},
        "rollout": {*_DRAWN, "max_steps", "temperature"},
    },
    modules=(*_ROLLOUT, *_MODEL, "unblind.training.base"),
    inputs=(BASE, Input("training", ADAPTER_FILES)),
    per=ACTING,
    rule="",
    request="",
)
_STAGES["arms"] = replace(
    _STAGES["rollout"],
    title="Tell a model something else on the same episodes",
    command="rollout --arms",
    outputs=("{results}/rollouts/{run}/{seed}/{told}.parquet",),
    when=lambda config: any(config.rollout.arms.values()),
    request="rollout",
)
_STAGES["think_scripted"] = Stage(
    title="Take a planner through VL-Think",
    command="think",
    group="think",
    outputs=tuple(f"{{results}}/think/{{run}}/{{seed}}/{name}.parquet" for name in THINK_DOMAINS),
    settings=_SCENE | {"demos": {"euler"}, "think": _BOARDS, "rollout": {"purpose", "max_steps"}},
    modules=(
        *_ROLLOUT,
        "unblind.rollout.thinking",
        *_BOARD_DRAWING,
    ),
    per=PLANNERS,
    seeded=True,
    rule="think",
    request="think_scripted",
    processes=0,
)
_STAGES["think"] = replace(
    _STAGES["think_scripted"],
    title="Take a model through VL-Think",
    settings=_SCENE
    | {
        "base": {"unnorm_key"},
        "demos": {"euler"},
        "training": {"precision"},
        "think": _BOARDS,
        "rollout": {"purpose", "max_steps", "temperature"},
    },
    modules=(*_STAGES["think_scripted"].modules, *_MODEL, "unblind.training.base"),
    inputs=_STAGES["rollout"].inputs,
    per=ACTING,
    rule="",
    request="",
)
_STAGES["think_frames"] = Stage(
    title="Draw the first frames of VL-Think",
    command="think-answers --frames",
    group="answers",
    outputs=("{results}/think-frames/frames.parquet",),
    settings=_SCENE | {"seed": True, "think": {"frames", "styles"}, "rollout": {"purpose"}},
    modules=("unblind.png", "unblind.sim", *_BOARD_DRAWING),
    when=_is_own,
    scratch=True,
    unit_cpu_s=0.25,
)
_STAGES["held_out"] = replace(
    _STAGES["questions"],
    title="Draw the held-out pictures with questions",
    seed_offset=1_000_000,  # by those of `questions` a base's recipe is chosen: these are others
    command="base held-out",
    group="answers",
    outputs=(f"{{results}}/held-out/{MANIFEST}",),
    settings={"seed": True, "base": {"questions": {"held_out"}}},
    when=_is_own,
)
_STAGES["answers"] = Stage(
    title="Ask a model the held-out questions",
    command="answers",
    group="answers",
    outputs=("{results}/answers/{run}/{seed}.parquet",),
    settings={"answers": True},
    modules=(
        *_PRETRAINING,
        "unblind.diagnosis.models",
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(
        BASE,
        Input("pull_vlm", when=_is_vlm),
        Input("vlm_copy", when=_is_vlm),
        Input("training", ADAPTER_FILES),
        Input("held_out"),
    ),
    per=MODELS,
    when=_is_own,
    unit_cpu_s=0.02,
)
_STAGES["think_answers"] = replace(
    _STAGES["answers"],
    title="Ask a model about the first frames of VL-Think",
    command="think-answers",
    outputs=("{results}/think-answers/{run}/{seed}.parquet",),
    settings={"seed": True, "fidelity": True, "think": {"frames", "styles"}},
    modules=(
        *_STAGES["answers"].modules,
        *("unblind.pictures.questions", "unblind.sim", "unblind.think.questions"),
        *_BOARD_DRAWING,
    ),
    inputs=(*_STAGES["answers"].inputs[:-1], Input("think_frames")),
)
_STAGES["drift"] = Stage(
    title="Follow drift and forgetting through a training",
    command="drift",
    group="diagnosis",
    outputs=tuple(f"{{results}}/drift/{{run}}/{{seed}}{part}.parquet" for part in ("", "-answers")),
    settings={
        "seed": True,
        "drift": True,
        "demos": {"noop_filter"},
        "training": {"schedule": {"steps"}},
    },
    modules=(
        *_PRETRAINING,
        *_in("diagnosis", "drift", "forgetting", "layers", "models", "pictures"),
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(BASE, DEMOS, Input("training", ADAPTER_FILES), Input("held_out")),
    per=TRAINED,
    when=_is_own,
    unit_cpu_s=0.02,
)
_STAGES["landscape"] = Stage(
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
        *_PRETRAINING,
        *_CACHE,
        "unblind.align",
        *_in("diagnosis", "landscape", "models", "plane"),
        "unblind.sim.conditions",
        "unblind.training.evaluate",
    ),
    inputs=(
        BASE,
        DEMOS,
        Input("features_low"),
        Input("features_teacher"),
        Input("training", ADAPTER_FILES, of=_spans),
        Input("held_out"),
    ),
    when=_has_plane,
    unit_cpu_s=0.022,
)
_STAGES["frames"] = Stage(
    title="Draw frames with the place of every thing",
    command="frames",
    group="diagnosis",
    outputs=tuple(f"{{results}}/frames/{name}.parquet" for name in ("episodes", "classes")),
    settings=_SCENE
    | {"seed": True, "demos": {"noop_filter", "euler"}, "frames": True, "collapse": {"classes"}},
    modules=(*_DEMONSTRATIONS, *_in("diagnosis", "drawing", "frames", "segments")),
    when=_has_own_model,
    seeded=True,
    scratch=True,
    unit_cpu_s=1.5,
)
_STAGES["attention"] = Stage(
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
        *_PRETRAINING,
        *_in("diagnosis", "attention", "frames", "knockout", "models"),
    ),
    inputs=(BASE, Input("training", ADAPTER_FILES), Input("frames", ("episodes.parquet",))),
    per=ACTING_MODELS,
    when=_has_own_model,
    unit_cpu_s=0.13,
)
_STAGES["collapse"] = Stage(
    title="Record how far apart a model keeps classes",
    command="collapse",
    group="diagnosis",
    outputs=("{results}/collapse/{run}/{seed}.parquet",),
    settings={"collapse": True},
    modules=(
        *_PRETRAINING,
        *_in("diagnosis", "attention", "collapse", "frames", "models"),
    ),
    inputs=(*_STAGES["answers"].inputs[:-1], Input("frames", ("classes.parquet",))),
    per=MODELS,
    when=_has_own_model,
    unit_cpu_s=2.0,
)
_STAGES["probe_pictures"] = Stage(
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
        *_in("pictures", "collages", "icons", "pictograms", "portraits", "scenes", "stills"),
        *_in("diagnosis", "emblems", "imagenet", "probe_pictures", "targets"),
    ),
    when=_has_own_model,
    seeded=True,
    scratch=True,
    unit_cpu_s=0.017,
)
_STAGES["probe"] = Stage(
    title="Probe the visual tokens of a model",
    command="probe",
    group="probe",
    outputs=("{results}/probe/{run}/{seed}.parquet",),
    settings={"seed": True, "probe": _PROBE},
    modules=(*_PROBING, "unblind.diagnosis.models"),
    inputs=(
        BASE,
        Input("pull_vlm", when=_is_vlm),
        Input("vlm_copy", when=_is_vlm),
        Input("training", ADAPTER_FILES),
        Input("probe_pictures"),
    ),
    per=MODELS,
    when=_has_own_model,
    unit_cpu_s=0.021,
)
_STAGES["probe_references"] = Stage(
    title="Probe teacher, pixels and a network with random weights",
    command="probe-references",
    group="probe",
    outputs=tuple(f"{{results}}/probe/{name}.parquet" for name in REFERENCES),
    settings={
        "seed": True,
        "probe": _PROBE,
        "training": {"align": {"teacher", "teacher_weights", "interpolate"}},
    },
    modules=(*_PROBING, *_in("vla", "random"), "unblind.teachers", "unblind.machine"),
    inputs=(Input("base", ("config.json",)), Input("probe_pictures")),
    when=_has_own_model,
    unit_cpu_s=0.06,
)


def _page(page: str, command: str, outputs: tuple[str, ...], **facts: Any) -> Stage:
    """Return a stage that renders a page, in several formats, from results."""
    facts = {"title": f"Render {page}", "group": "tables", "settings": None} | facts
    facts = {"modules": _REPORT} | facts
    paths = tuple(f"{{results}}/{name}" for name in outputs)
    return Stage(command=command, outputs=paths, page=page, **facts)


def _settings_table(number: int) -> Stage:
    return _page(
        f"Table {number}",
        f"hyperparameters {number}",
        (f"table{number}.md", f"table{number}.tex"),
        sources=(
            "paper/hyperparameters.yaml",
            *(f"paper/templates/hyperparameters.{kind}.j2" for kind in ("md", "tex")),
        ),
    )


def _ablation(number: str) -> Stage:
    """Return the stage that renders one of the paper's tables of ablations."""
    return _page(
        f"Table {number}",
        f"ablation {number}",
        tuple(f"table{number}.{kind}" for kind in ("md", "csv", "tex")),
        settings=_keys("scale", "seed", "seeds", "runs", "ablations", "rollout"),
        inputs=(Input("rollout"), Input("answers")),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/ablation.{kind}.j2" for kind in ("md", "tex")),
        ),
        rows=lambda config: ["align", "default", *config.ablations[number]],
        when=lambda config: number in config.ablations,
    )


_PAGES = {
    "table1": _page(
        "Table 1",
        "table1",
        ("table1.md", "table1.csv", "table1.tex"),
        settings=_keys("scale", "seed", "seeds", "runs", "gates", "table1", "rollout", "answers"),
        inputs=(
            Input("rollout"),
            Input("rollout_scripted"),
            Input("arms"),
            Input("answers"),
            DEMOS,
            Input("replay"),
        ),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table1.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    "table2": _page(
        "Table 2",
        "table2",
        tuple(f"table2.{kind}" for kind in ("md", "csv", "tex")),
        settings=_keys("scale", "seeds", "runs", "table1", "think"),
        inputs=(Input("think"), Input("think_scripted"), Input("think_answers")),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table2.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    **{f"table{number}": _ablation(number) for number in ABLATIONS},
    "forgetting": _page(
        "Drift and forgetting",
        "forgetting",
        ("drift.md", "drift.png"),
        settings=_keys("scale", "seed", "seeds", "runs", "drift", "table1")
        | {"training": {"align": {"layers"}}},
        inputs=(Input("drift"),),
        sources=("paper/templates/drift.md.j2",),
        modules=_REPORT,
        when=_has_trained,
    ),
    "figure2c": _page(
        "Figure 2c",
        "figure2c",
        ("landscape.md", "figure2c.png"),
        settings=_keys("scale", "seed", "seeds", "runs", "landscape"),
        inputs=(Input("landscape"),),
        sources=("paper/templates/landscape.md.j2",),
        modules=_REPORT,
        when=_has_plane,
    ),
    "figure4": _page(
        "Figure 4",
        "figure4",
        ("attention.md", "figure4.png"),
        settings=_keys("runs", "seeds", "attention", "seed") | {"training": {"align": {"layers"}}},
        inputs=(Input("attention"),),
        sources=("paper/templates/attention.md.j2",),
        when=_has_own_model,
    ),
    "figure5": _page(
        "Figure 5",
        "figure5",
        ("collapse.md", "figure5.png"),
        settings=_keys("runs", "seeds", "collapse"),
        inputs=(Input("collapse"),),
        sources=("paper/templates/collapse.md.j2",),
        when=_has_own_model,
    ),
    "table3": _page(
        "Table 3",
        "table3",
        ("table3.md", "table3.tex", "table3.png"),
        settings=_keys("scale", "seeds", "runs", "probe") | {"training": {"align": {"teacher"}}},
        inputs=(Input("probe"), Input("probe_references")),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table3.{kind}.j2" for kind in ("md", "tex")),
        ),
        when=_has_own_model,
    ),
    "table9": _settings_table(9),
    "table14": _settings_table(14),
    # What the stages took is known when the table is there, whose footer quotes them too.
    "costs": _page(
        "Costs",
        "costs --page",
        ("costs.md", "costs.tex"),
        after=(Input("table1", ("table1.md",)),),
        modules=(
            *_REPORT,
            *_in("costs", "formulas", "measured", "page"),
            *_in("study", "jobs", "stages"),
        ),
        sources=(
            *(f"workflow/config/{name}.yaml" for name in ("paper", "mini")),
            *(f"paper/templates/costs.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    "audit": _page(
        "Audit",
        "audit",
        ("audit.md", "audit.json", "audit.html"),
        title="Judge the published claims",
        after=(Input("rollout"), Input("rollout_scripted"), Input("table1")),
        group="audit",
        settings=True,
        # Checks of the release's defects run code of every part; an audit takes seconds.
        modules=("unblind",),
        sources=(
            *("paper/claims.yaml", "paper/defects.yaml"),
            *(f"paper/templates/audit.{name}" for name in ("md.j2", "html.j2", "css", "js")),
        ),
    ),
}
#: The graph: every stage by name, each after those that it reads.
STAGES: Mapping[str, Stage] = {**_STAGES, **_PAGES}
#: Stages that may make the model from which methods start, the first that exists counts.
BASES = ("published_warm_up", "fetch", "warm_up", "pull")
#: CPU-seconds of an episode of 80 steps by kind of policy, measured as `Stage.unit_cpu_s`.
EPISODE_CPU_S = {"oracle": 1.1, "always_left": 1.1, "random": 0.65, "noop": 0.55, "vla": 2.2}
#: CPU-seconds until a worker has imported everything and drawn its first picture.
START_CPU_S = 8.4


def rule_of(name: str) -> str:
    """Return the rule of the workflow that runs a stage."""
    return STAGES[name].rule or name


def request_of(name: str) -> str:
    """Return under which name the section `cluster` says what a job of a stage may use."""
    return STAGES[name].request or rule_of(name)


#: Names of all requests to a cluster, in the order of the stages.
REQUESTS = tuple(dict.fromkeys(request_of(name) for name in STAGES if not STAGES[name].is_local))
