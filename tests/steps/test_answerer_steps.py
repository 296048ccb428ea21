"""Models of others through their stages on twins, and on the pages, at paper scale."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unblind import twin
from unblind.config import load
from unblind.diagnosis import frames as drawn
from unblind.errors import UnblindError
from unblind.png import encode
from unblind.report import attention, collapse, thinking
from unblind.steps import answerers
from unblind.steps.thinking import asked_about
from unblind.study import jobs, provenance
from unblind.think import spoken

RUNS = {"qwen2_5-7b": "qwen2.5-vl", "internvl3_5-4b": "internvl"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answerers")
    for run, kind in RUNS.items():
        twin.make(kind, folder / run)
    return folder


@pytest.fixture(scope="module")
def config(root, request):
    """The paper's study with two of its models, which are twins."""
    changes = {f"runs.{run}.answerer.source": str(root / run) for run in RUNS}
    changes |= {"training.device": "cpu", "training.precision": "float32"}
    changes |= {"results": str(root / "results"), "catalog": "builtin"}
    changes |= {"think.styles": ["unseen"], "think.frames": 1}
    changes |= {"collapse.layers": [1, 3], "collapse.classes": ["cup", "can"]}
    changes |= {"collapse.neighbours": 2}
    path = request.config.rootpath / "workflow" / "config" / "paper.yaml"
    config = load(path, changes)
    _write_first_frames(config)
    _write_frames(config)
    return config


def _write_first_frames(config):
    rng = np.random.default_rng(0)
    episodes = asked_about(config)
    columns = {
        "domain": [episode.condition for episode in episodes],
        "episode_id": [episode.episode_id for episode in episodes],
        "style": [episode.style for episode in episodes],
        "image": [encode(rng.integers(0, 256, (96, 128, 3), dtype="uint8")) for _ in episodes],
    }
    path = jobs.path(config, "think_frames")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)


def _write_frames(config):
    """Write frames of noise; the object, a cup or a can, fills the left upper quarter."""
    rng = np.random.default_rng(1)
    segments = np.zeros((96, 128, 3), np.uint8)
    segments[:48, :64] = drawn.PARTS.index("object")
    rows = [
        {
            "condition": ("in_distribution", "plate")[number % 2],
            "episode_id": number,
            "moment": "start",
            "step": 0,
            "image": encode(rng.integers(0, 256, (96, 128, 3), dtype="uint8")),
            "segments": encode(segments),
            "object": ("cup", "can")[number % 2],
            "plate": "plate",
            "instruction": "put cup on plate",
            "object_xyz": [0.0, 0.0, 0.9],
            "action": None,
        }
        for number in range(6)
    ]
    for path in jobs.Job(config, "frames").outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.write(path, rows)


@pytest.fixture(scope="module")
def asked(config):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spoken, "TOKENS", 2)  # a twin never ends by itself
        for run in RUNS:
            answerers.fetch(config, run, 0)
            answerers.ask(config, run, 0)
            answerers.attend(config, run, 0)
            answerers.collapse(config, run, 0)
    return config


def test_answers_are_recorded_one_a_row_with_what_was_said(asked):
    path = jobs.Job(asked, "answerer_answers", "qwen2_5-7b", 0).outputs[0]
    rows = pd.read_parquet(path)
    # Three boards in seven domains and two in Parity; of the arrows one alone is not there.
    assert rows.groupby("kind").size().to_dict() == {
        **dict.fromkeys(("present", "side", "which"), 23),
        "absent": 21,
    }
    assert rows["said"].notna().all() and not rows["right"].all()
    assert str(jobs.path(asked, "think_frames")) in provenance.read(path)["inputs"]


def test_attention_of_a_patch_is_its_share(asked):
    path = jobs.Job(asked, "answerer_attention", "qwen2_5-7b", 0).outputs[0]
    rows = pd.read_parquet(path)
    # Six frames, one prompt, two variants, three layers.
    assert len(rows) == 6 * 2 * 3 and set(rows["prompt"]) == {"question"}
    raw = rows[rows["variant"] == "raw"]
    assert ((raw["visual"] + raw["bos"]) < 1).all()
    np.testing.assert_allclose(raw["target_lift"], raw["target"] / 0.25, rtol=1e-5)
    heads = np.array([row.mean() for row in raw["target_by_head"]])
    assert heads.shape == (18,) and ((heads > 0) & (heads < 1)).all()
    # Of rows 3 and columns 5.
    assert raw["sink_row"].max() < 3 and raw["sink_column"].max() < 5
    maps = pd.read_parquet(path.with_name("attention-maps.parquet"))
    assert {len(one) for one in maps["map"]} == {15} and maps["frame"].nunique() == 2
    assert set(zip(maps["rows"], maps["columns"], strict=True)) == {(3, 5)}
    assert [sum(one) for one in maps["map"]] == pytest.approx([1] * len(maps), abs=1e-5)


def test_classes_are_recorded_at_each_layer(asked):
    rows = pd.read_parquet(jobs.Job(asked, "answerer_collapse", "internvl3_5-4b", 0).outputs[0])
    assert set(rows["tokens"]) == {"object", "picture", "prompt"}
    assert set(rows["layer"]) == {1, 3} and len(rows) == 6 * 3 * 2


def test_pages_tell_of_them_and_of_those_that_cannot_be_asked(asked, root):
    thinking.table2(asked, root / "think", root / "think-answers", root / "results" / "table2")
    text = (root / "results" / "table2.md").read_text()
    for label in ("Qwen2.5-VL-7B", "InternVL3.5-4B"):
        assert (
            text.count(f"| **{label}** | asked |")
            == 4
            == text.count(f"| **{label}** | grey picture |")
        )
    assert "Ovis2.5-2B is not asked: transformers has no class for Ovis2.5" in text
    table = pd.read_csv(root / "results" / "table2.csv")
    rows = pd.read_parquet(jobs.Job(asked, "answerer_answers", "qwen2_5-7b", 0).outputs[0])
    kind = "which board is it on? (in words)"
    mine = table[(table["run"] == "qwen2_5-7b") & (table["measure"] == kind)]
    mine = mine[(mine["start"] == "asked") & (mine["column"] == "Shape")]
    side = rows[(rows["domain"] == "shape") & (rows["kind"] == "side")]
    assert mine["rate"].item() == pytest.approx(side["right"].mean(), abs=1e-4)
    told, figure = attention.page(asked)
    text = told.read_text()
    assert text.count("| **Qwen2.5-VL-7B** | 3 |") == 2 == text.count("| **InternVL3.5-4B** | 3 |")
    assert figure.stat().st_size > 1000
    told, _ = collapse.page(asked)
    # Four kinds of tokens, of which the released one is unknown, and three measures.
    assert told.read_text().count("| **Qwen2.5-VL-7B** |") == 4 * 3
    assert told.read_text().count("| **Qwen2.5-VL-7B** | - | - |") == 3


def test_errors_are_one_line_each(config, root):
    with pytest.raises(UnblindError, match=r"Ovis2\.5 cannot be asked"):
        answerers.fetch(config, "ovis2_5-2b", 0)
    with pytest.raises(UnblindError, match="OpenGVLab/InternVL3_5-8B-HF names no commit"):
        answerers.fetch(config, "internvl3_5-8b", 0)
    with pytest.raises(UnblindError, match="no folder prism-dinosiglip"):
        answerers.fetch(config, "prismatic-7b", 0)
    with pytest.raises(UnblindError, match="'base' is no vision-language model of others"):
        answerers.ask(config, "base", 0)
    with pytest.raises(UnblindError, match=r"model\.json is missing") as caught:
        answerers.ask(config, "internvl3_5-8b", 0)
    assert caught.value.remedy == "run: unblind answerer fetch --run internvl3_5-8b --seed 0"


def test_a_layer_that_a_decoder_lacks_is_told(asked):
    deeper = asked.model_copy(
        update={"collapse": asked.collapse.model_copy(update={"layers": [1, 4]})}
    )
    with pytest.raises(UnblindError, match=r"cannot look at layers \[1, 4\] of a decoder of 3"):
        answerers.collapse(deeper, "qwen2_5-7b", 0)
