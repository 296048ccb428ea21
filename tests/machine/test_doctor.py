import pytest

from unblind.machine import doctor
from unblind.machine.doctor import Check


def test_renderer_and_planner_work_here(renderer):
    checks = [doctor.renderer_check(), doctor.planner_check()]
    assert [check.ok for check in checks] == [True, True], doctor.format(checks)
    assert renderer.describe()["device"] in checks[0].detail


def test_each_check_has_its_line_and_failures_their_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("UNBLIND_VULKAN", "off")
    monkeypatch.setattr(doctor, "_ASSETS", tmp_path)
    monkeypatch.setattr(doctor, "MEMORY_GIB", 10**6)
    checks = doctor.run(tmp_path)
    names = ["renderer", "planner", "versions", "memory", "disk", "caches"]
    assert [check.name for check in checks] == names
    assert [check.ok for check in checks[:4]] == [False, False, True, False]
    lines = doctor.format(checks).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("FAIL renderer:")
    assert "-> unset UNBLIND_VULKAN" in lines[0]
    assert "no wx250s.urdf, wx250s.srdf" in lines[1]
    assert lines[2].startswith("ok   versions:")
    assert "1000000 needed" in lines[3]


def test_planner_that_dies_is_a_failed_check(monkeypatch, tmp_path):
    for name in ("wx250s.urdf", "wx250s.srdf"):
        (tmp_path / name).write_text("<robot/>")
    monkeypatch.setattr(doctor, "_ASSETS", tmp_path)
    check = doctor.planner_check()
    assert not check.ok
    assert check.detail.startswith("MPLib:")
    assert "\n" not in check.detail


def test_pins_are_read_with_extras_comments_and_hashes():
    text = (
        "# a==0\nA.b_c==1.2 \\\n    --hash=sha256:ab\n    # via x==9\nd[e,f]==3+cpu  # why\ng>=1\n"
    )
    assert doctor.pins(text) == {"a.b_c": "1.2", "d": "3+cpu"}


@pytest.mark.parametrize("pin", ["numpy==0.1", "no-such-package==1.0"])
def test_a_version_that_differs_from_the_lock_is_named(tmp_path, pin):
    (tmp_path / "requirements.lock").write_text(f"{pin} \\\n    --hash=sha256:00\n")
    (tmp_path / "requirements.in").write_text("torch==2.13.0\n")
    check = doctor.versions_check(tmp_path)
    assert not check.ok
    assert check.detail.startswith("1 of 2 differ")
    assert pin.replace("==", " ").split()[0] in check.detail


def test_missing_lock_is_a_failed_check(tmp_path):
    check = doctor.versions_check(tmp_path)
    assert not check.ok
    assert "requirements.lock" in check.detail


def test_too_little_disk_is_a_failed_check(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "DISK_GIB", 10**6)
    check = doctor.disk_check(tmp_path)
    assert not check.ok
    assert str(tmp_path) in check.detail


def test_a_passing_check_prints_no_remedy():
    assert doctor.format([Check("memory", True, "24 GiB", "buy more")]) == "ok   memory:    24 GiB"


def test_a_home_that_takes_no_caches_is_told_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")  # below a file nobody can make a folder
    check = doctor.caches_check()
    assert not check.ok
    assert check.detail == "/dev/null/.cache cannot be written: Not a directory"
    assert "XDG_CACHE_HOME=$PWD/.cache" in check.remedy
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert doctor.caches_check().ok
    assert list((tmp_path / "caches").iterdir()) == []
