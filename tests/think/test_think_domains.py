"""The table of domains: against the released lists of boards, and the published sizes."""

import json

import pytest

from unblind.errors import UnblindError
from unblind.pictures.scenes import COLORS
from unblind.sim import released_files
from unblind.study.rows.names import THINK_DOMAINS
from unblind.think import domains, drawings
from unblind.think.domains import DOMAINS

#: Computed from the released definitions.
SIZES = {
    "shape": 70_447_104,
    "color": 58_084_992,
    "traffic": 765_072,
    "laundry": 257_040,
    "weather": 31_752,
    "arrow": 1_512,
    "public_info": 137_592,
    "parity": 672,
}


def test_every_domain_has_as_many_episodes_as_released():
    assert {domain.name: domain.size for domain in DOMAINS} == SIZES
    assert tuple(SIZES) == THINK_DOMAINS


def test_numbers_of_concepts_are_those_of_the_released_lists():
    counts = {domain.name: len(domain.concepts) for domain in DOMAINS}
    assert counts == {
        **{"shape": 14, "color": 8, "traffic": 24, "laundry": 17, "weather": 9, "arrow": 4},
        **{"public_info": 14, "parity": 8},
    }
    assert [len(domain.places) for domain in DOMAINS] == [3] * 7 + [2]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_concepts_have_the_order_of_the_released_files(domain, released_assets):
    path = released_assets / "carrot" / domain.folder / "model_db.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    rows = list(json.loads(path.read_text(encoding="utf-8")).values())
    assert {row["density"] for row in rows} == {6368}
    if domain.folder == "more_shape":
        pairs = [(shape, color) for shape in domains.SHAPES for color in COLORS]
        assert [(row["shape"], row["color"]) for row in rows] == pairs
    elif domain.name == "parity":
        assert [str(row["number"]) for row in rows] == list(domain.concepts)
    else:
        found = [row.get("sign") or row.get("icon") or row["name"] for row in rows]
        assert found == list(domain.concepts)


def test_every_released_board_is_in_the_manifest():
    meshes = [path for path in released_files.boards() if path.endswith("textured.glb")]
    assert len(meshes) == 112 + 24 + 17 + 9 + 4 + 14 + 8
    for path in meshes:
        assert path.replace("textured.glb", "collision.obj") in released_files.boards()
    assert not set(released_files.boards()) & set(released_files.manifest())


@pytest.mark.parametrize("key", ["PublicInfo", "public-info", "PutOnPublicInfoSignInSceneMulti-v1"])
def test_a_domain_goes_by_several_names(key):
    assert domains.get(key).name == "public_info"


def test_an_unknown_domain_is_refused():
    with pytest.raises(UnblindError, match="did you mean 'weather'"):
        domains.get("wether")


def test_every_concept_can_be_drawn_and_ten_signs_are_no_picture_of_the_base():
    missing = set()
    for domain in DOMAINS:
        names = domains.SHAPES if domain.kind == "shape" else map(domain.drawing, domain.concepts)
        for name in names:
            color = "red" if domain.kind == "shape" else None
            assert drawings.pad_of(domain.kind, name, color)[..., 3].any()
            if not drawings.is_pictured(domain.kind, name):
                missing.add(name)
    assert missing == {
        *("falling rocks sign", "loose chippings sign", "no overtaking sign", "road works sign"),
        *("sharp route deviation sign", "wild animals sign", "escalator sign", "fire escape sign"),
        *("hairdresser sign", "no dogs sign", "arrow"),
    }
