"""The authors' files: a made-up release with its own manifest, and the real one if present."""

import json

import cv2
import numpy as np
import pytest
import trimesh

from unblind import files
from unblind.errors import UnblindError
from unblind.sim import released, released_files
from unblind.sim.builtin import BUILTIN
from unblind.sim.catalogs import load_catalog


def _put(root, path, data):
    full = root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


@pytest.fixture
def release(tmp_path, monkeypatch):
    """Write a release of one object, one plate and two tables, and its manifest."""
    root = tmp_path / "assets"
    boxes = [trimesh.creation.box((0.04, 0.02, 0.01)), trimesh.creation.icosphere(3, 0.01)]
    boxes[1].apply_translation((0.1, 0, 0))
    mesh = trimesh.util.concatenate(boxes)
    row = {"name": "thing", "bbox": {"min": [-0.02, -0.01, -0.01], "max": [0.11, 0.01, 0.01]}}
    for kind, key in (("more_carrot", "001_thing"), ("more_plate", "001_dish")):
        _put(root, f"carrot/{kind}/model_db.json", {key: {**row, "density": 700}})
        _put(root, f"carrot/{kind}/{key}/collision.obj", mesh.export(file_type="obj").encode())
        _put(root, f"carrot/{kind}/{key}/textured.glb", mesh.export(file_type="glb"))
    tables = {
        f"00{k}_table_{k}.png": {"name": "table", "texture": f"00{k}.png", "mix": k - 1}
        for k in (1, 2)
    }
    tables["003_red desk_1.png"] = {"name": "red desk", "texture": "001.png", "mix": 1}
    _put(root, "carrot/more_table/model_db.json", tables)
    for place in [f"imgs/{t}" for t in tables] + ["textures/001.png", "textures/002.png"]:
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 2] = 200  # OpenCV's order: red
        _put(root, f"carrot/more_table/{place}", cv2.imencode(".png", picture)[1].tobytes())
    rows = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        entry = released_files.Entry(str(path.stat().st_size), files.sha256(path))
        rows[path.relative_to(root).as_posix()] = entry
    monkeypatch.setattr(released_files, "manifest", lambda: rows)
    return root


def test_reads_models_and_tables(release):
    catalog = released.ReleasedCatalog(release)
    (thing,) = catalog.objects
    assert (thing.name, thing.index, thing.split, thing.density) == ("thing", 0, "train", 700.0)
    assert [len(p) for p in thing.collision] == [8, len(thing.collision[1])]
    assert len(thing.collision[1]) <= released.HULL_CORNERS  # 642 corners, thinned
    reach = np.ptp(thing.collision[1], axis=0)
    np.testing.assert_allclose(reach, 0.02, rtol=0.02)
    np.testing.assert_allclose(thing.bbox[1], [0.11, 0.01, 0.01])
    assert thing.visual.name == "textured.glb"
    assert [t.name for t in catalog.tables] == ["table_1", "table_2", "red desk"]
    assert [t.mix for t in catalog.tables] == [0.0, 1.0, 1.0]
    photo = catalog.tables[2].photo(32, 24)
    assert photo.shape == (24, 32, 3)
    assert photo[0, 0].tolist() == [200, 0, 0]
    assert catalog.tables[0].texture().shape == (48, 64, 3)
    assert released_files.check(release)[1:] == ([], [])


def test_names_what_is_missing_or_changed(release):
    gone = "carrot/more_carrot/001_thing/textured.glb"
    changed = "carrot/more_plate/001_dish/collision.obj"
    (release / gone).unlink()
    (release / changed).write_bytes((release / changed).read_bytes()[:-1] + b"X")
    present, missing, corrupt = released_files.check(release)
    assert (missing, corrupt) == ([gone], [changed])
    assert len(present) == len(released_files.manifest()) - 2
    catalog = released.ReleasedCatalog(release)
    assert len(catalog.objects[0].collision) == 2  # what is whole can be used
    with pytest.raises(UnblindError, match=r"textured\.glb is missing") as error:
        _ = catalog.objects[0].visual
    assert "built-in catalog" in error.value.remedy
    with pytest.raises(UnblindError, match=r"collision\.obj differs"):
        _ = catalog.plates[0].collision


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # What `git hash-object` says of files with these bytes.
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        (b"\0" * 1000, "012b3279398166a8f9e06174a33624048581648a"),
    ],
)
def test_gits_id_of_a_content(tmp_path, content, expected):
    (tmp_path / "file").write_bytes(content)
    assert released_files.git_blob_id(tmp_path / "file") == expected


def test_a_file_known_by_gits_id_alone_is_checked_by_it(release):
    path = "carrot/more_carrot/001_thing/textured.glb"
    whole = (release / path).read_bytes()
    entry = released_files.Entry("-", released_files.git_blob_id(release / path))
    released_files.manifest()[path] = entry
    store = released_files.Store(release)
    assert store.state(path) == "present"
    for wrong in (b"anything", b"", whole[:-1], whole + b"\0"):
        (release / path).write_bytes(wrong)
        assert store.state(path) == "corrupt"
    with pytest.raises(UnblindError, match=r"textured\.glb differs from the manifest's checksum"):
        _ = released.ReleasedCatalog(release).objects[0].visual
    (release / path).unlink()
    assert store.state(path) == "missing"


def test_nothing_outside_the_folder_is_read(release, tmp_path):
    path = "carrot/more_carrot/001_thing/collision.obj"
    outside = tmp_path / "collision.obj"
    (release / path).rename(outside)
    (release / path).symlink_to(outside)
    store = released_files.Store(release)
    assert store.state(path) == "missing"
    with pytest.raises(UnblindError, match="is missing"):
        store.path(path)
    with pytest.raises(UnblindError, match="not among the released files"):
        store.path("../collision.obj")


def test_an_unreadable_mesh_or_picture_is_one_clear_error(release):
    flat = release / "carrot/more_carrot/001_thing/collision.obj"
    flat.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(UnblindError, match="no solid part"):
        released.convex_pieces(flat)
    picture = "carrot/more_table/imgs/001_table_1.png"
    (release / picture).write_bytes(b"no picture")
    size, checksum = "10", files.sha256(release / picture)
    released_files.manifest()[picture] = released_files.Entry(size, checksum)
    with pytest.raises(UnblindError, match="no readable picture"):
        released.ReleasedCatalog(release).tables[0].photo(32, 24)


def test_no_folder_and_an_empty_folder_are_clear_errors(tmp_path):
    with pytest.raises(UnblindError, match="no folder of released assets"):
        load_catalog(str(tmp_path / "nowhere"))
    with pytest.raises(UnblindError, match=r"model_db\.json is missing"):
        load_catalog(str(tmp_path))
    present, missing, corrupt = released_files.check(tmp_path)
    assert (present, corrupt) == ([], [])
    assert len(missing) == len(released_files.manifest())


def test_the_manifest_covers_the_three_folders():
    rows = released_files.manifest()
    kinds = [path.split("/")[1] for path in rows]
    # 52, 37 and 43 files, with the two objects and the plate whose visuals no copy held among them.
    assert {k: kinds.count(k) for k in set(kinds)} == {
        "more_carrot": 52,
        "more_plate": 37,
        "more_table": 43,
    }
    by_git = {path.split("/")[2]: e for path, e in rows.items() if len(e.checksum) == 40}
    assert by_git == {
        "010_toy bear_1": ("-", "fc0d072c81b573e7cffcbeb132329e67cfc089be"),
        "017_travel cup_1": ("-", "c6570eb989989ce5ac02fc496adc6060e387bfb8"),
        "005_sheet metal_1": ("-", "4406eb70dc70d32013e73e281a79b88c9626c793"),
    }
    others = [e for e in rows.values() if e not in by_git.values()]
    assert {len(e.checksum) for e in others} == {64} and all(int(e.size) for e in others)
    assert not any(".." in path or path.startswith("/") for path in rows)


def test_the_real_release_agrees_with_the_built_in_facts(released_assets):
    catalog = released.ReleasedCatalog(released_assets)
    _, missing, corrupt = released_files.check(released_assets)
    assert corrupt == []
    for real, builtin in zip(
        catalog.objects + catalog.plates, BUILTIN.objects + BUILTIN.plates, strict=True
    ):
        assert (real.name, real.index, real.split, real.density) == (
            builtin.name, builtin.index, builtin.split, builtin.density,
        )  # fmt: skip
        np.testing.assert_allclose(real.bbox, builtin.bbox, atol=1e-6)
        if f"{real._folder}/collision.obj" not in missing:
            points = np.concatenate(real.collision)
            np.testing.assert_allclose([points.min(0), points.max(0)], real.bbox, atol=2e-4)
    for real, builtin in zip(catalog.tables, BUILTIN.tables, strict=True):
        assert (real.name, real.split, real.texture_name, real.mix) == (
            builtin.name, builtin.split, builtin.texture_name, builtin.mix,
        )  # fmt: skip


def test_gits_ids_are_those_of_the_releases_history(released_assets):
    bread = released_assets / "carrot/more_carrot/003_bread_1/textured.glb"
    if not bread.is_file():
        pytest.skip("003_bread_1 is not among the files at hand")
    wanted = "e12a69639728f25129fdd49fc517e4b5743828e0"
    assert released_files.git_blob_id(bread) == wanted


def test_the_real_release_can_be_shown(renderer, released_assets):
    from unblind.sim.contact import Studio

    catalog = released.ReleasedCatalog(released_assets)
    _, missing, _ = released_files.check(released_assets)
    bread = catalog.objects[2]
    if any(path.startswith(bread._folder) for path in missing):
        pytest.skip("003_bread_1 is not among the files at hand")
    _, mask = Studio(128, 96).shoot(bread)
    assert mask.sum() > 60
