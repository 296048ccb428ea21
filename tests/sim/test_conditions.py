import pytest

from unblind.errors import UnblindError
from unblind.sim import conditions
from unblind.sim.conditions import CONDITIONS, OBJECTS, PLATES, TABLES, TEMPLATES, TEXTURES

# Sizes of the released environments' id spaces (obj_set=test; train for the first).
SIZES = {
    "in_distribution": 802_816,
    "carrot": 451_584,
    "instruct": 12_845_056,
    "multi_carrot": 9_695_232,
    "multi_plate": 678_666_240,
    "plate": 12_845_056,
    "vision_image": 250_880,
    "texture_03": 12_845_056,
    "texture_05": 12_845_056,
    "whole_03": 12_845_056,
    "whole_05": 12_845_056,
    "position": 643_072,
    "ee_pose": 16 * 14_375 * 16 * 784 * 4,
    "position_change_to": 2_154_496,
}


def test_order_groups_and_headings_are_the_papers():
    assert [c.column for c in CONDITIONS if c.suite == "semantic"] == [
        "Carrot", "Instruct", "MultiCarrot", "MultiPlate", "Plate",
    ]  # fmt: skip
    assert [c.column for c in CONDITIONS if c.suite == "vision"] == [
        "VisionImg", "Tex03", "Tex05", "Whole03", "Whole05",
    ]  # fmt: skip
    assert [c.column for c in CONDITIONS if c.suite == "execution"] == [
        "Position", "EEPose", "PosChangeTo",
    ]  # fmt: skip
    assert CONDITIONS[0].name == "in_distribution"
    suites = [c.suite for c in CONDITIONS[1:]]
    assert suites == ["semantic"] * 5 + ["vision"] * 5 + ["execution"] * 3


def test_sizes_are_the_published_ones():
    assert {c.name: c.evaluation.size for c in CONDITIONS} == SIZES


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_found_by_name_heading_and_released_id(condition):
    keys = (condition.name, condition.name.replace("_", "-"), condition.column.lower())
    for key in (*keys, condition.released_env):
        assert conditions.get(key) is condition


def test_unknown_condition_is_one_error_with_a_suggestion():
    with pytest.raises(UnblindError, match="did you mean multi_plate") as error:
        conditions.get("mulit_plate")
    assert "position_change_to" in str(error.value)


def test_unknown_split():
    with pytest.raises(UnblindError, match="unknown split 'all'"):
        CONDITIONS[1].space("all")


def test_json():
    assert conditions.to_json(conditions.get("EEPose")) == {
        "name": "ee_pose",
        "suite": "execution",
        "column": "EEPose",
        "released_env": "PutOnPlateInScene25EEPose-v1",
        "split": "test",
        "episodes": 11_540_480_000,
        "factors": ["joint_offset"],
    }


def test_only_in_distribution_is_evaluated_on_the_training_split():
    assert [c.name for c in CONDITIONS if c.split == "train"] == ["in_distribution"]
    assert [c.name for c in CONDITIONS if not c.factors] == ["in_distribution"]


def test_names():
    assert (len(OBJECTS), len(PLATES), len(TABLES), len(TEXTURES)) == (25, 17, 21, 21)
    assert len(set(OBJECTS)) == 25 and len(set(PLATES)) == 17 and len(set(TABLES)) == 21
    assert (OBJECTS[5], OBJECTS[16], OBJECTS[24]) == ("zuchinni", "travel cup", "cup")
    assert (PLATES[0], PLATES[1], PLATES[16]) == ("plate", "cloth", "notepad")
    assert (TABLES[0], TABLES[16], TABLES[20]) == ("table_simpler", "glass table", "dining table")
    assert (TEXTURES[0], TEXTURES[20]) == ("001.png", "021.png")
    assert len(TEMPLATES) == 17 and len(set(TEMPLATES)) == 17
    assert all("{object}" in text and "{plate}" in text for text in TEMPLATES)


def test_names_are_the_builtin_catalogs():
    builtin = pytest.importorskip("unblind.sim.builtin", reason="no builtin catalog").BUILTIN
    assert tuple(model.name for model in builtin.objects) == OBJECTS
    assert tuple(model.name for model in builtin.plates) == PLATES
    assert tuple(table.name for table in builtin.tables) == TABLES
    assert tuple(table.texture_name for table in builtin.tables) == TEXTURES
    # Textures 2 to 17 are the ones drawn; their released weight factor is 1.
    assert {builtin.tables[index].mix for index in range(1, 17)} == {1.0}
