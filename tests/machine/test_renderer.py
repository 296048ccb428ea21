import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unblind.errors import UnblindError
from unblind.machine import lavapipe, renderer

SOURCE = Path(renderer.__file__).parents[2]
SEEN = {"device": "a card", "backend": "cuda", "middle": [200, 0, 0], "corner": [9, 9, 9]}


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Forget what this process decided and keep everything in a temporary folder."""
    for name in (*renderer._DRIVER_VARIABLES, "UNBLIND_VULKAN", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what the code sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNBLIND_VULKAN_DIR", str(tmp_path))
    monkeypatch.setattr(renderer, "_verdict", None)
    return tmp_path


def probes(monkeypatch, own, private_answer):
    """Replace the probe; return the list of what it was asked (True: private)."""
    asked = []

    def answer(*, private: bool):
        asked.append(private)
        return private_answer if private else own

    monkeypatch.setattr(renderer, "probe", answer)
    return asked


def test_draws_a_red_box_with_an_empty_environment(renderer):
    private = renderer.describe()["driver"] == "private"
    code = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
from unblind.machine import renderer
renderer.ensure()
import json
from unblind.machine import probe
print(json.dumps(probe.draw_box() | {{"library": probe.mapped_driver()}}))
"""
    moved = "UNBLIND_VULKAN_DIR" in os.environ
    environment = {"UNBLIND_VULKAN_DIR": str(renderer.folder())} if moved else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    red, green, blue = seen["middle"]
    assert red > 150
    assert green == blue == 0
    assert len(set(seen["corner"])) == 1  # the background has no colour
    if private:
        assert seen["library"] == str(renderer.folder() / "lib" / lavapipe.DRIVER)
        assert "llvmpipe" in seen["device"]


def test_switched_off_is_one_clear_error():
    done = subprocess.run(
        [sys.executable, "-m", "unblind.machine.renderer"],
        env={"UNBLIND_VULKAN": "off", "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: no Vulkan device")
    assert "unset UNBLIND_VULKAN" in done.stderr


def test_switching_off_holds_after_a_renderer_was_set_up(fresh, monkeypatch):
    probes(monkeypatch, (SEEN, ""), (None, ""))
    renderer.ensure()
    monkeypatch.setenv("UNBLIND_VULKAN", "off")
    with pytest.raises(UnblindError, match="no Vulkan"):
        renderer.ensure()


def test_unknown_setting_names_the_known_ones(fresh, monkeypatch):
    monkeypatch.setenv("UNBLIND_VULKAN", "of")
    with pytest.raises(UnblindError, match="auto, system, private or off"):
        renderer.ensure()


def test_own_driver_is_preferred_and_remembered(fresh, monkeypatch):
    asked = probes(monkeypatch, (SEEN, ""), (None, "unused"))
    assert renderer.describe() == {"driver": "none so far"}
    renderer.ensure()
    renderer.ensure()
    monkeypatch.setattr(renderer, "_verdict", None)  # a new process
    renderer.ensure()
    assert asked == [False]
    assert renderer.describe() == {"driver": "system", "device": "a card", "backend": "cuda"}
    assert renderer.backend() == "cuda"
    assert "VK_ICD_FILENAMES" not in os.environ
    assert not (fresh / "lib").exists()


@pytest.mark.parametrize("change", ["VK_ICD_FILENAMES", "damaged"])
def test_verdict_is_dropped_when_its_grounds_change(fresh, monkeypatch, change):
    asked = probes(monkeypatch, (SEEN, ""), (None, "unused"))
    renderer.ensure()
    if change == "damaged":
        (fresh / "verdict.json").write_text("{")
    else:
        monkeypatch.setenv(change, "/somewhere/else.json")
    monkeypatch.setattr(renderer, "_verdict", None)
    renderer.ensure()
    assert asked == [False, False]


def test_private_driver_where_the_own_one_fails(fresh, monkeypatch):
    asked = probes(monkeypatch, (None, "no device"), (SEEN | {"backend": "cpu"}, ""))

    def install(folder):
        (folder / "lib").mkdir()
        versions = {lavapipe.BACKPORT: "25.0", "libllvm15": "15.0"}
        (folder / "lib" / "versions.json").write_text(json.dumps(versions))

    loaded = []
    monkeypatch.setattr(lavapipe, "install", install)
    monkeypatch.setattr(lavapipe, "load", loaded.append)
    renderer.ensure()
    assert asked == [False, True]
    assert loaded == [fresh]
    assert renderer.describe() == {
        "driver": "private", "device": "a card", "backend": "cpu", "mesa": "25.0", "llvm": "15.0",
    }  # fmt: skip


def test_private_on_request_does_not_look_at_the_own_driver(fresh, monkeypatch):
    monkeypatch.setenv("UNBLIND_VULKAN", "private")
    asked = probes(monkeypatch, (SEEN, ""), (SEEN, ""))
    monkeypatch.setattr(lavapipe, "install", lambda folder: None)
    monkeypatch.setattr(lavapipe, "load", lambda folder: None)
    renderer.ensure()
    assert asked == [True]


def test_nothing_usable_names_both_reasons(fresh, monkeypatch):
    probes(monkeypatch, (None, "too old"), (None, "crashed"))
    monkeypatch.setattr(lavapipe, "install", lambda folder: None)
    with pytest.raises(UnblindError, match=r"own: too old; private: crashed.*Mesa 25"):
        renderer.ensure()
    assert not (fresh / "verdict.json").exists()


def test_system_on_request_never_falls_back(fresh, monkeypatch):
    monkeypatch.setenv("UNBLIND_VULKAN", "system")
    asked = probes(monkeypatch, (None, "too old"), (SEEN, ""))
    with pytest.raises(UnblindError, match="too old"):
        renderer.ensure()
    assert asked == [False]


def test_importing_the_module_imports_no_simulator():
    code = (
        "import sys; from unblind.machine import renderer, doctor; print('sapien' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
