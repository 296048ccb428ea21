"""Where the artifacts of a study lie, and what to do when one is not there."""

from collections.abc import Iterable
from pathlib import Path

from unblind.config import Config, DemoSet
from unblind.errors import UnblindError
from unblind.store import BASE_FILES, PULLED_BASE, base_dir, is_whole, pointer_path

#: Files of an adapter, of which the first carries the sidecar.
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "identity.json")
#: Files that make a folder a trained run: adapter, what tables tell of it, log.
RUN_FILES = (*ADAPTER_FILES, "run.json", "training.jsonl")
#: Beside an adapter of the published model: the action statistics that it was trained with.
STATISTICS = "dataset_statistics.json"
#: What stands for a published checkpoint: the checksums of its files.
RECORD = "base.json"
#: The same for every set of demonstrations or pictures: it names all other files by checksum.
MANIFEST = "manifest.json"


def rebuilt(config: Config) -> Path:
    """Return the folder of a base that is made here, with all its intermediate results."""
    return Path(config.results, "rebuilt-base")


def demos(config: Config, which: DemoSet = "training") -> Path:
    """Return the folder of a set of demonstrations."""
    if which == "training":
        return Path(config.results, "demos")
    return rebuilt(config) / ("demos" if which == "pretraining" else "warm-up-demos")


def features_low(config: Config) -> Path:
    """Return the file of what the tower's frozen part makes of the demonstrations."""
    return Path(config.results, "features", "low.npy")


def features_teacher(config: Config) -> Path:
    """Return the file of what the teacher makes of the demonstrations."""
    return Path(config.results, "features", f"{config.training.align.teacher}.npy")


def pictures(config: Config) -> Path:
    """Return the file of the demonstrations' pictures at the size of a published model."""
    return Path(config.results, "features", "pictures.npy")


def seen(config: Config) -> Path:
    """Return the file of what the model sees of the demonstrations: features or pictures."""
    return features_low(config) if config.base.source is None else pictures(config)


def run_folder(config: Config, run: str, seed: int) -> Path:
    """Return the folder of a trained run."""
    return Path(config.results, "training", run, str(seed))


def run_files(config: Config) -> tuple[str, ...]:
    """Return the names of the files of a trained run, those of the method Align alone aside."""
    return RUN_FILES if config.base.source is None else (*RUN_FILES, STATISTICS)


def fetched_record(config: Config) -> Path:
    """Return the record of the published checkpoint as it was fetched."""
    return Path(config.results, "published-base", RECORD)


def record(config: Config) -> Path | None:
    """Return the record of the published model that methods start from; None: it is our own."""
    if config.base.source is None:
        return None
    return rebuilt(config) / RECORD if config.rebuild_base else fetched_record(config)


def base_weights(config: Config) -> Path:
    """Return the file whose checksum names the base: weights, or the record of published ones."""
    return record(config) or base_dir(config) / "model.safetensors"


def base_files(config: Config) -> list[Path]:
    """Return the files of the base model; of a published one, which is large, its record.

    Raises:
        UnblindError: some of them are missing, or the pulled base is not the published one.
    """
    if published := record(config):
        command = "unblind base warm-up" if config.rebuild_base else "unblind base fetch"
        return required([published], command)
    folder = base_dir(config)
    if config.rebuild_base:
        remedy = "run: unblind base warm-up, or set rebuild_base to false"
    else:
        remedy = f"run dvc pull {pointer_path(PULLED_BASE)}, for instance by: unblind base pull"
    missing = [name for name in BASE_FILES if not (folder / name).is_file()]
    if missing:
        raise UnblindError(f"no base in {folder}: {', '.join(missing)} missing", remedy)
    pointer = pointer_path(PULLED_BASE)
    # A pull that was killed may leave a file in its place that is cut off.
    if not config.rebuild_base and pointer.is_file() and not is_whole(PULLED_BASE):
        raise UnblindError(
            f"{folder} is not what {pointer} names: changed, or pulled by half",
            f"move {folder} away, then run: unblind base pull",
        )
    return [folder / name for name in BASE_FILES]


def adapter_files(config: Config, run: str, seed: int) -> list[Path]:
    """Return the files of a run's adapter.

    Raises:
        UnblindError: it is not trained.
    """
    folder = run_folder(config, run, seed)
    command = f"unblind train --run {run} --seed {seed}"
    return required((folder / name for name in ADAPTER_FILES), command)


def required(paths: Iterable[Path], command: str) -> list[Path]:
    """Return the paths after checking that there is a file at each.

    Raises:
        UnblindError: one is missing; ``command`` makes it.
    """
    found = list(paths)
    for path in found:
        if not path.is_file():
            raise UnblindError(f"{path} is missing", f"run: {command}")
    return found
