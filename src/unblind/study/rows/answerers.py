"""Stages that ask, and look into, vision-language models of others: they neither train nor act."""

from unblind.study.rows.scope import ANSWERERS
from unblind.study.rows.shared import BOARD_DRAWING, MODEL, within
from unblind.study.stage import Input, Stage

_FOLDER = "{results}/answerers/{run}/{seed}"
_MODULES = (*MODEL, "unblind.fetched", "unblind.answerers", "unblind.machine")
_LOOKING = (
    *_MODULES,
    "unblind.png",
    "unblind.align",
    *within("diagnosis", "answerers", "attention", "frames"),
)
_FETCHED = Input("answerer")

ROWS = {
    "answerer": Stage(
        title="Fetch a vision-language model that only answers",
        command="answerer fetch",
        group="answers",
        outputs=(f"{_FOLDER}/model.json",),
        settings={"scale": True},
        modules=_MODULES,
        per=ANSWERERS,
        is_local=True,
    ),
    "answerer_answers": Stage(
        title="Ask a vision-language model about the first frames of VL-Think",
        command="answerer ask",
        group="answers",
        outputs=(f"{_FOLDER}/answers.parquet",),
        settings={
            "seed": True,
            "fidelity": True,
            "think": {"frames", "styles"},
            "training": {"precision"},
        },
        modules=(
            *_LOOKING,
            *("unblind.pictures.questions", "unblind.sim"),
            *within("think", "questions", "spoken"),
            *BOARD_DRAWING,
        ),
        inputs=(_FETCHED, Input("think_frames")),
        per=ANSWERERS,
        unit_cpu_s=0.5,
    ),
    "answerer_attention": Stage(
        title="Record where a vision-language model looks",
        command="answerer attention",
        group="diagnosis",
        # Numbers, and maps of a few frames.
        outputs=(f"{_FOLDER}/attention.parquet", f"{_FOLDER}/attention-maps.parquet"),
        settings={"attention": True, "training": {"precision"}},
        modules=_LOOKING,
        inputs=(_FETCHED, Input("frames", ("episodes.parquet",))),
        per=ANSWERERS,
        unit_cpu_s=0.5,
    ),
    "answerer_collapse": Stage(
        title="Record how far apart a vision-language model keeps classes",
        command="answerer collapse",
        group="diagnosis",
        outputs=(f"{_FOLDER}/collapse.parquet",),
        settings={"collapse": True, "training": {"precision"}},
        modules=(*_LOOKING, *within("diagnosis", "collapse")),
        inputs=(_FETCHED, Input("frames", ("classes.parquet",))),
        per=ANSWERERS,
        unit_cpu_s=2.0,
    ),
}
