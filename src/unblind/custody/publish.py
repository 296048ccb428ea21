"""Publishing a study: checked, stored, copied for readers and committed in one step.

What is committed: pointers to base, trained runs and records (their contents lie in the store),
what Snakemake has written down about their making, and readers' copies of tables and pages. With
these a clone that has pulled the results has no job to run besides rendering.
"""

import base64
import contextlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unblind import files
from unblind.config import Config
from unblind.custody import carried
from unblind.custody.artifacts import Artifact, study
from unblind.custody.verify import verify
from unblind.errors import UnblindError
from unblind.study import dryrun, store
from unblind.study import pulled_base as base
from unblind.study.provenance import sidecar_path
from unblind.study.rows.names import MODEL_FILES, RUN_FILES, VLM_FILE
from unblind.study.store import PULLED_BASE, RESULTS, STORE

TRAINING, ROLLOUTS = RESULTS / "training", RESULTS / "rollouts"
#: Most bytes of what is stored, if a study has it: git keeps every version for ever.
LIMITS = {
    PULLED_BASE: base.LIMIT_BYTES,
    TRAINING: 18_000_000,
    ROLLOUTS: 5_000_000,
    **{RESULTS / name: 3_000_000 for name in ("answers", "think", "think-answers", "probe")},
    **{RESULTS / name: 2_000_000 for name in ("drift", "attention", "attention-maps", "knockout")},
    **{
        RESULTS / name: 1_000_000
        for name in ("gradients", "landscape", "collapse", "named-board", "knockout-rollouts")
    },
}
TARGETS = tuple(LIMITS)
TOTAL_LIMIT = 40 * 2**20
#: Readers' copies of tables and pages, in git.
PAGES = Path("paper", "published")
PAGES_LIMIT = 5_000_000
#: Snakemake's records, one an output, named by its path.
METADATA = Path(".snakemake", "metadata")
#: What this commits itself may differ from the last commit before it starts.
_OWN = (*(f"{target}.dvc" for target in TARGETS), f"{STORE}/", f"{PAGES}/", f"{METADATA}/")
#: Fields of Snakemake's records that name the publisher's machine and decide nothing.
_OF_THE_MACHINE = ("shellcmd", "code")


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes:
        commit: the new commit; None if everything was published already.
        sizes: bytes by stored folder.
        pages: readers' copies.
    """

    commit: str | None
    sizes: Mapping[Path, int]
    pages: tuple[Path, ...]


def publish(config: Config, paper: Path) -> Published:
    """Check a study, store it and commit what leads to it.

    On failure pointers, store, readers' copies and git's index are what they were.

    Args:
        config: the study; its results lie in the folder ``results``.
        paper: configuration of the published sizes.

    Raises:
        UnblindError: the checkout has other uncommitted changes, a result is missing, stale,
            corrupt or too large, DVC or git fails, or the disk is full.
    """
    if Path(config.results) != RESULTS:
        raise UnblindError(f"results lie in {config.results}", f"publish from {RESULTS}")
    _check_clean()
    _check_nothing_to_do(config)
    listed = study(config, paper)
    _check_intact(config, paper)
    records = _metadata(listed)
    carried.carry(config)
    _check_only_results(config, listed)
    sizes, pages = _checked_sizes(), _pages(listed)
    pointers = [store.pointer_path(target) for target in _targets()]
    touched = (*pointers, *PAGES.glob("*"), *(PAGES / page.name for page in pages), *records)
    with store.restored_on_failure(*touched), _restored_index():
        _store()
        _copy(pages)
        for record in records:
            _forget_machine(record)
        commit = _commit(f"Publish the {config.scale} study", records)
    return Published(commit, sizes, tuple(PAGES / page.name for page in pages))


# ---- checks ----------------------------------------------------------------------------------


def _check_clean() -> None:
    """Refuse a checkout with changes that the commit would not hold."""
    lines = _git("status", "--porcelain", "--untracked-files=all", "-z").split("\0")
    changed = [line[3:] for line in lines if line]
    others = [name for name in changed if not name.startswith(_OWN)]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UnblindError(f"{others[0]}{more} not committed", "commit or remove it first")


def _check_nothing_to_do(config: Config) -> None:
    """Refuse results that the workflow would make again: readers' clones would, too."""
    counts = Counter(job.rule for job in dryrun.pending(config))
    if counts:
        listed = ", ".join(f"{count} {rule}" for rule, count in sorted(counts.items()))
        raise UnblindError(
            f"results are missing or stale; jobs to run: {listed}", "run: snakemake --cores all"
        )


def _check_intact(config: Config, paper: Path) -> None:
    """Refuse results that are not what their sidecars tell, byte for byte."""
    wrong = [
        finding for finding in verify(config, paper) if finding.state != "intact" and finding.needed
    ]
    if wrong:
        first = wrong[0]
        why = f" ({'; '.join(first.why)})" if first.why else ""
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise UnblindError(f"{first.path} is {first.state}{why}{more}", "see: unblind verify")


def _metadata(listed: Iterable[Artifact]) -> list[Path]:
    """Return Snakemake's records of the making of base, demonstrations, runs and rollouts.

    Raises:
        UnblindError: there is none of some result, so that clones would make it again.
    """
    known = {_output(path): path for path in METADATA.glob("*")}
    outputs = [path.as_posix() for artifact in listed for path in _outputs(artifact)]
    for name in outputs:
        if name not in known:
            raise UnblindError(
                f"Snakemake has no record of {name}",
                "delete it and let the workflow make it: snakemake --cores all",
            )
    return sorted(known[name] for name in outputs)


def _output(record: Path) -> str:
    """Return the output that a record is about."""
    with contextlib.suppress(ValueError):
        return base64.urlsafe_b64decode(record.name).decode(errors="replace")
    return ""


def _outputs(artifact: Artifact) -> list[Path]:
    """Return the outputs of a rule that belong to an artifact; none for what is only rendered."""
    folder, name = artifact.path.parent, artifact.path.name
    if artifact.group in ("tables", "audit"):
        return []
    if artifact.group == "training":
        return [folder / file for file in RUN_FILES] if name == RUN_FILES[0] else []
    if artifact.group == "base":
        return [artifact.path] if name in (*MODEL_FILES, VLM_FILE) else []
    return [artifact.path]


def _check_only_results(config: Config, listed: Iterable[Artifact]) -> None:
    """Refuse to store what is no result of the study, such as a run that is no longer in it."""
    known = {carried.folder(config) / name for name in carried.names()}
    for artifact in listed:
        known |= {artifact.path, sidecar_path(artifact.path), *artifact.beside}
    for target in (target for target in TARGETS if target != PULLED_BASE):
        for path in store.content(target):
            if path not in known:
                raise UnblindError(f"{path} is no result of this study", f"move it out of {target}")


def _checked_sizes() -> dict[Path, int]:
    """Return the bytes of each folder that is stored.

    Raises:
        UnblindError: one of them, or all together, are too large.
    """
    sizes = {
        target: sum(path.stat().st_size for path in store.content(target)) for target in _targets()
    }
    limits = LIMITS | {Path("all results"): TOTAL_LIMIT}
    for target, size in {**sizes, Path("all results"): sum(sizes.values())}.items():
        if size > limits[target]:
            raise UnblindError(
                f"{target}: {size:,} bytes, more than {limits[target]:,}",
                "publish fewer runs or seeds, or smaller ones",
            )
    return sizes


def _pages(listed: Iterable[Artifact]) -> list[Path]:
    """Return the tables and pages that are copied for readers."""
    pages = [artifact.path for artifact in listed if artifact.group in ("tables", "audit")]
    size = sum(page.stat().st_size for page in pages)
    if size > PAGES_LIMIT:
        raise UnblindError(f"tables and pages have {size:,} bytes", f"allowed: {PAGES_LIMIT:,}")
    return pages


# ---- doing -----------------------------------------------------------------------------------


def _store() -> None:
    """Write the pointers and copy their contents into the checkout's default store."""
    # A new base is stored by `unblind base promote`.
    store.add(*(target for target in _targets() if target != PULLED_BASE))
    store.push(*_targets(), remote=None)
    if store.is_embedded():
        store.prune()


def _targets() -> list[Path]:
    """Return what is stored of the study that is here."""
    return [target for target in TARGETS if target.is_dir()]


def _copy(pages: Iterable[Path]) -> None:
    """Make the readers' copies exactly these pages."""
    names = {page.name for page in pages}
    for old in PAGES.glob("*"):
        if old.name not in names:
            old.unlink()
    for page in pages:
        with files.atomic_path(PAGES / page.name) as temporary:
            shutil.copyfile(page, temporary)


def _forget_machine(record: Path) -> None:
    """Take the publisher's own paths out of a record of Snakemake's."""
    facts = json.loads(record.read_text(encoding="utf-8"))
    if any(facts.get(key) is not None for key in _OF_THE_MACHINE):
        files.write_text(record, json.dumps({**facts, **dict.fromkeys(_OF_THE_MACHINE)}))


@contextlib.contextmanager
def _restored_index() -> Iterator[None]:
    """On failure empty git's index of what the block has added, and bring back pruned contents."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(UnblindError):
            _git("reset", "--quiet")
            _git("checkout", "--quiet", "HEAD", "--", str(STORE))
        raise


def _commit(message: str, records: Iterable[Path]) -> str | None:
    """Commit pointers, store, readers' copies and records; return the commit if there is one."""
    kept = {path.as_posix() for path in records}
    old = [name for name in _git("ls-files", "-z", str(METADATA)).split("\0") if name]
    gone = [name for name in old if name not in kept]
    if gone:
        _git("rm", "--quiet", "--cached", "--", *gone)
    pointers = [store.pointer_path(target).as_posix() for target in _targets()]
    _git("add", "--all", "--", *pointers, str(STORE), str(PAGES))
    # Ignored by git: everybody's runs write records of what they render, too.
    _git("add", "--force", "--", *kept)
    if not _git("diff", "--cached", "--name-only"):
        return None
    _git("commit", "--quiet", "--message", message)
    return _git("rev-parse", "HEAD")


def _git(*words: str) -> str:
    """Run git in the checkout and return what it prints."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True)
    except OSError as error:
        raise UnblindError(f"git cannot be run: {error.strerror}", "install git") from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or "no reason given"
        raise UnblindError(f"git {words[0]} failed: {reason}", "publish from a git clone")
    return done.stdout.rstrip("\n")
