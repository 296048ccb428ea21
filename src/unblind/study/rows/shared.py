"""What rows share: settings, modules and inputs that several stages have in common."""

from typing import Any

from unblind.config.kinds import RECIPE
from unblind.study.rows.names import MODEL_FILES
from unblind.study.stage import Input


def within(package: str, *names: str) -> tuple[str, ...]:
    """Return modules of a package."""
    return tuple(f"unblind.{package}.{name}" for name in names)


def keys(*names: str) -> dict[str, Any]:
    """Return a selection of whole sections or single keys."""
    return dict.fromkeys(names, True)


def files(folder: str, names: tuple[str, ...] = MODEL_FILES) -> tuple[str, ...]:
    """Return the paths of files in a folder."""
    return tuple(f"{folder}/{name}" for name in names)


REBUILT, RUN = "{results}/rebuilt-base", "{results}/training/{run}/{seed}"
SCENE = keys("catalog", "catalog_missing", "fidelity", "render")
DEMO_SETTINGS = SCENE | keys("seed", "demos")
DRAWN = {
    *("purpose", "episodes", "in_distribution_episodes"),
    *("at_random", "in_distribution_at_random"),
}

BOARDS = {"questions", "styles", "swap", "in_hand"}

MODEL = ("unblind.hub", "unblind.vla", "unblind.weights")
#: What draws VL-Think's boards and puts them on the table.
BOARD_DRAWING = (
    *within("pictures", "collages", "icons", "pictograms", "scenes"),
    *within("think", "boards", "domains", "drawings", "episodes"),
)
DEMONSTRATIONS = ("unblind.demos", "unblind.png", "unblind.sim")
FRAMES = (
    *within("demos", "labels", "shards"),
    "unblind.png",
    "unblind.training.frames",
    "unblind.vla",
)
CACHE = (*FRAMES, *within("training", "cache"))
DRAWING = (
    *("unblind.pictures", "unblind.png", "unblind.sim"),
    *within("vla", "documents", "text"),
)
LEARNING = (
    *FRAMES,
    *MODEL,
    *within("training", "augment", "feed", "losses", "loop", "meter", "state", "team"),
)
PRETRAINING = (*LEARNING, *within("training", "data", "pretrain"))
FROM_PICTURES = (
    *PRETRAINING,
    *within("training", "album", "cache"),
    "unblind.demos.pretraining",
    "unblind.pictures",
    "unblind.sim",
)
FINETUNING = (
    *LEARNING,
    *CACHE,
    *within("training", "base", "finetune", "throughput"),
    "unblind.fetched",
)
ROLLOUT = (
    "unblind.sim",
    *within("rollout", "draw", "factory", "loop", "policies", "records", "run", "told", "trained"),
    "unblind.rollout.worker",
)
PROBING = (
    *MODEL,
    "unblind.png",
    *within("diagnosis", "layers", "probe_pictures", "probing"),
)
PROBE_SETTINGS = {
    "standardised",
    "optimizer",
    "momentum",
    "rate",
    "weight_decay",
    "epochs",
    "batch",
}
REPORT = (
    "unblind.png",
    "unblind.report",
    *within("answerers", "families"),
    *within("sim", "conditions", "success"),
)
WARM_UP = {
    "seed": True,
    "demos": {"noop_filter"},
    "base": {"warm_up", "loss", "unnorm_key"},
    "training": {"rank", "alpha", *RECIPE},
}

BASE, DEMOS = Input("base"), Input("demos")
