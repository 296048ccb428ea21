import json
import resource
import subprocess
import sys
import time

import imports
import pytest

from unblind.config import digest
from unblind.errors import UnblindError
from unblind.files import sha256, write_text
from unblind.machine import processor
from unblind.study import code, provenance
from unblind.study.stages import STAGES

CODE = ("unblind.config", "unblind.files")


def make(path, text="result", **options):
    values = {"config": {"a": 1}, "code": CODE, "seed": 3} | options
    with provenance.record(path, **values) as facts:
        facts["note"] = "inside"
        write_text(path, text)
    return provenance.read(path)


def test_a_sidecar_tells_where_an_artifact_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source.txt"
    source.write_text("x")
    meta = make(tmp_path / "result.txt", inputs=[source], extra={"size": 2})
    assert (tmp_path / "result.txt.meta.json").exists()
    assert meta["inputs"] == {"source.txt": sha256(source)}
    assert meta["sha256"] == sha256(tmp_path / "result.txt")
    assert (meta["config"], meta["config_hash"]) == ({"a": 1}, digest({"a": 1}))
    assert meta["code_hash"] == meta["source_hash"] == provenance.source_hash(*CODE)
    assert (meta["seed"], meta["extra"]) == (3, {"size": 2, "note": "inside"})
    assert meta["packages"]["numpy"] == "1.26.4"
    assert meta["hardware"]["cores"] >= 1
    assert meta["started"].endswith("+00:00")
    assert "driver" in meta["renderer"] and meta["kernels"] == processor.kernels()
    assert {"commit", "dirty"} <= meta.keys()


def test_results_and_their_store_are_no_change_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "unblind"
    tracked = ("Snakefile", "results/base.dvc", "dvcstore/a", ".snakemake/metadata/a")
    for name in tracked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "_ROOT", package)
    for name in tracked[1:]:
        (tmp_path / name).write_text("after")
    assert provenance._git()["dirty"] is False
    (tmp_path / "Snakefile").write_text("after")
    assert provenance._git()["dirty"] is True


def test_an_artifact_of_proved_code_counts_as_that_of_the_older(tmp_path, monkeypatch):
    """Results of both are current; a sidecar keeps the true hash beside the one it is known by."""
    path, same = tmp_path / "x", {"config": {"a": 1}, "code": CODE, "seed": 3}
    own, settings = provenance.source_hash(*CODE), code.settings_digest({"a": 1})
    row = code.Proof(own, "0" * 64, settings, "", "", "", "", "", "")
    meta = make(path)
    monkeypatch.setattr(code, "ledger", lambda: {(own, settings): row})
    assert provenance.is_current(path, **same), "made by this code before the proof"
    sidecar = provenance.sidecar_path(path)
    sidecar.write_text(json.dumps(meta | {"code_hash": "0" * 64}))
    assert provenance.is_current(path, **same)
    assert not provenance.is_current(path, **same | {"config": {"a": 2}})
    meta = make(path)
    assert (meta["code_hash"], meta["source_hash"]) == ("0" * 64, own)


def test_a_failed_block_writes_no_sidecar(tmp_path):
    with pytest.raises(RuntimeError), provenance.record(tmp_path / "x", config={}, code=CODE):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("alive", [True, False])
def test_cpu_time_and_memory_of_children_count(tmp_path, alive):
    # 50 MB and 0.5 s of work; then the child either waits or ends.
    program = (
        "import sys, time\nkeep = b'x' * 50_000_000\n"
        "while time.process_time() < 0.5: pass\n"
        f"print('done', flush=True)\nif {alive}: sys.stdin.read()"
    )
    with provenance.record(tmp_path / "x", config={}, code=CODE):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen([sys.executable, "-c", program], **pipes)
        assert child.stdout.readline() == b"done\n"
        if not alive:
            child.wait()
        time.sleep(0.2)
        write_text(tmp_path / "x", "")
    child.communicate()
    meta = provenance.read(tmp_path / "x")
    assert 0.3 <= meta["cpu_s"] < 5
    assert meta["wall_s"] >= 0.4
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert meta["peak_memory_mib"] >= own + 50


def test_an_artifact_is_current_until_anything_changes(tmp_path):
    path, source = tmp_path / "x", tmp_path / "source"
    source.write_text("1")
    same = {"config": {"a": 1}, "code": CODE, "seed": 3, "inputs": [source]}
    assert not provenance.is_current(path, **same)
    make(path, inputs=[source])
    assert provenance.is_current(path, **same)
    assert not provenance.is_current(path, **same | {"config": {"a": 2}})
    assert not provenance.is_current(path, **same | {"code": ("unblind.config",)})
    assert not provenance.is_current(path, **same | {"seed": 4})
    source.write_text("2")
    assert not provenance.is_current(path, **same)
    source.write_text("1")
    path.write_text("damaged")
    assert not provenance.is_current(path, **same)


def test_a_missing_or_broken_sidecar_is_one_error(tmp_path):
    with pytest.raises(UnblindError, match=r"x\.meta\.json is missing"):
        provenance.read(tmp_path / "x")
    (tmp_path / "x.meta.json").write_text("[1]")
    with pytest.raises(UnblindError, match="is unreadable"):
        provenance.read(tmp_path / "x")


def test_parsing_a_snakefile_stays_cheap():
    program = (
        "import sys; import unblind.workflow.study; from unblind.study.code import source_hash; "
        "from unblind.study.stages import STAGES; "
        "[source_hash(*stage.modules) for stage in STAGES.values()]; "
        "heavy = {'torch', 'sapien', 'mani_skill', 'pandas'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# ---- the modules of each stage ----------------------------------------------------------------

#: How files are written, processes started and words said: results do not depend on it, and
#: settings are compared by themselves. `study` finds files, whose contents count.
BESIDE = imports.inside(
    f"unblind.{name}"
    for name in (
        *("errors", "files", "progress", "workers", "study"),
        *("config", "machine"),
    )
) | {"unblind"}
#: Imports that matter to the named stages alone.
ONLY_FOR = {
    # A type.
    ("sim.conditions", "sim.catalog"): (),
    # Pictures with questions are read from files: their contents count.
    ("training.evaluate", "pictures.shards"): ("questions",),
    ("diagnosis.pictures", "pictures.shards"): ("questions",),
    # Questions about demonstrations are asked in robot pretraining only.
    ("training.data", "sim.camera"): ("robot",),
    ("training.data", "sim.conditions"): ("robot",),
    ("training.data", "demos.pretraining"): ("robot",),
    # Only a new model has a new vocabulary.
    ("training.pretrain", "pictures.questions"): ("tower", "vlm"),
    ("training.pretrain", "sim.catalogs"): ("tower", "vlm"),
    ("training.pretrain", "demos.pretraining"): ("tower", "vlm"),
    # Training asks for the names of builtin assets and for templates; episodes are not drawn.
    ("sim.catalogs", "sim.released"): (),
    ("demos.pretraining", "sim.builtin.extras"): (),
    ("demos.pretraining", "sim.catalogs"): (),
    ("demos.pretraining", "sim.episodes"): (),
    # Only runs are aligned.
    ("training.finetune", "align.objective"): ("training",),
    ("training.finetune", "teachers.loading"): ("training",),
    ("training.losses", "align.objective"): ("training",),
    ("training.cache", "teachers.teacher"): ("features_teacher",),
    # Probes read pictures from files: their contents count.
    **{
        ("diagnosis.probe_pictures", name): ("probe_pictures",)
        for name in (
            *(f"diagnosis.{one}" for one in ("emblems", "imagenet", "targets")),
            *("pictures.portraits", "pictures.scenes", "sim.camera", "sim.catalogs"),
        )
    },
    # Of what is probed, some are teachers.
    ("diagnosis.probing", "teachers.teacher"): ("probe_teacher",),
    # Scripted policies need no model.
    ("rollout.factory", "training.base"): ("rollout", "knockout", "think"),
    ("rollout.factory", "vla.decode"): ("rollout", "knockout", "think"),
    ("rollout.factory", "vla.loading"): ("rollout", "knockout", "think"),
    ("rollout.factory", "vla.policy"): ("rollout", "knockout", "think"),
}


def unlisted(stage, modules):
    """Return what modules of a stage import, themselves or through others, and do not list."""
    listed = imports.inside(modules)
    found, todo = set(), sorted(listed)
    while todo:
        module = todo.pop()
        for other in imports.imports(module) - listed - found - BESIDE:
            edge = tuple(name.removeprefix("unblind.") for name in (module, other))
            if stage in ONLY_FOR.get(edge, (stage,)):
                found.add(other)
                todo.append(other)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_all_modules_that_it_imports(stage):
    assert unlisted(stage, STAGES[stage].modules) == set()


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("answers", "unblind.training.losses"),
        ("drift", "unblind.diagnosis.layers"),
        ("landscape", "unblind.align"),
        ("features_teacher", "unblind.teachers"),
        ("robot", "unblind.training.vlm"),
        ("rollout", "unblind.rollout.factory"),
        ("training", "unblind.align"),
        ("vlm", "unblind.training.album"),
    ],
)
def test_a_module_left_out_is_noticed(stage, module):
    shorter = imports.inside(STAGES[stage].modules) - imports.inside([module])
    assert unlisted(stage, shorter) & imports.inside([module])


def test_exceptions_are_imports():
    for importer, imported in ONLY_FOR:
        assert f"unblind.{imported}" in imports.imports(f"unblind.{importer}")
    assert {stage for stages in ONLY_FOR.values() for stage in stages} <= STAGES.keys()
