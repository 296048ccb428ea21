"""A whole study in a folder: every artifact is there, says nothing, and has its true sidecar."""

import hashlib
import json
from pathlib import Path

from unblind.config import Config, load
from unblind.custody import artifacts
from unblind.custody.artifacts import Artifact
from unblind.files import sha256, write_json, write_text
from unblind.study import jobs, provenance, store
from unblind.study.rows.names import MANIFEST

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "workflow" / "config" / "smoke.yaml"
PAPER = ROOT / "workflow" / "config" / "paper.yaml"
RUNS = {
    "default": {"policy": "vla", "label": "Default", "method": "default"},
    "align": {"policy": "vla", "label": "Align", "method": "align"},
    "oracle": {"policy": "oracle", "label": "Oracle", "method": None},
}
CHANGES = {"runs": RUNS, "table1.rows": list(RUNS)}
#: The same as options of the command line.
OPTIONS = [w for k, v in CHANGES.items() for w in ("--set", f"{k}={json.dumps(v)}")]
OPTIONS += ["--config", str(SMOKE)]


def settings(**changes) -> Config:
    """Return smoke with three runs."""
    return load(SMOKE, CHANGES | {key.replace("__", "."): one for key, one in changes.items()})


def study(config: Config) -> list[Artifact]:
    """Return the artifacts of a study."""
    return artifacts.study(config, PAPER)


def write(config: Config):
    """Make a whole study in the working folder; its base is a stored one."""
    (Path.cwd() / "paper-claims").write_text("a source")
    base = study(config.model_copy(update={"rebuild_base": True}))
    for one in base:
        if one.group == "base" and one.path.parent == jobs.rebuilt(config):
            place = store.PULLED_BASE / one.path.name
            make(Artifact("base", place, one.origin), inputs=())
    publish(store.PULLED_BASE)
    for one in study(config):
        if one.origin:
            make(one)


def make(one: Artifact, text: str = "", inputs: tuple[Path, ...] | None = None):
    """Write an artifact with all that belongs to it."""
    origin, path = one.origin, one.path
    if inputs is None:
        inputs = (*origin.inputs, *one.optional)
        inputs += (Path("paper-claims"),) if one.group == "tables" else ()
    made = {"config": origin.config, "code": origin.code, "seed": origin.seed, "inputs": inputs}
    with provenance.record(path, **made) as facts:
        write_text(path, f"{path} {text}")
        if path.name == MANIFEST:
            shards = [path.with_name(f"train-{k:05d}.parquet") for k in range(2)]
            for shard in shards:
                write_text(shard, str(shard))
            write_json(path, {"shards": {shard.name: sha256(shard) for shard in shards}})
        for other in one.beside:
            write_json(other, {"steps": 4})
            facts["run_details"] = {"steps": 4}
        if one.group == "training":
            write_json(path.with_name("identity.json"), {"adapter_sha256": sha256(path)})


def publish(target: Path):
    """Store a folder, and write its pointer, as DVC does."""
    files = sorted(path for path in target.rglob("*") if path.is_file())
    entries = [{"md5": store.md5(p), "relpath": p.relative_to(target).as_posix()} for p in files]
    for path in files:
        _keep(store.md5(path), path.read_bytes())
    entries.sort(key=lambda entry: entry["relpath"])
    listing = json.dumps(entries, sort_keys=True).encode()
    name = hashlib.md5(listing).hexdigest() + ".dir"
    assert name == store.md5(target)
    _keep(name, listing)
    text = f"outs:\n- md5: {name}\n  size: 1\n  path: {target.name}\n"
    store.pointer_path(target).write_text(text)


def blob(name: str) -> Path:
    """Return where the store keeps a content."""
    return store.STORE / "files" / "md5" / name[:2] / name[2:]


def _keep(name: str, content: bytes):
    blob(name).parent.mkdir(parents=True, exist_ok=True)
    blob(name).write_bytes(content)
