"""Published checkpoints as folders: already on disk, or fetched from the Hugging Face hub.

Only data is ever fetched (safetensors, JSON, tokenizers): no pickles and no code. A revision is
a full commit, because a branch or a tag may move. Files are kept in the cache of
``huggingface_hub`` (``HF_HOME``); a checkpoint that lies there needs no network.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from unblind.errors import UnblindError

#: Endings of files that are fetched: none of them can run code when it is read.
SAFE = (".safetensors", ".json", ".txt", ".model")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def fetch(repo: str, revision: str, patterns: Iterable[str]) -> Path:
    """Return the folder with a repository's files at one commit, fetched where they are missing.

    Args:
        repo: ``owner/name`` on the hub.
        revision: the full commit, 40 hexadecimal digits.
        patterns: which files, such as ``config.json`` or ``model*.safetensors``.

    Raises:
        UnblindError: no commit is named, a pattern would fetch something else than data, or the
            hub cannot be reached or does not give the files.
    """
    names = list(patterns)
    _check(repo, revision, names)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=names))
    except Exception as error:  # httpx, OSError and the hub's own: no common ancestor
        raise UnblindError(
            f"cannot fetch {repo} at {revision}: {_reason(error)}",
            _remedy(error, names),
        ) from error


def place(source: str, patterns: Iterable[str]) -> Path:
    """Return the folder of a checkpoint: ``source`` itself, or what it names on the hub.

    Args:
        source: a folder, or ``owner/name@commit``.
        patterns: which files are fetched from the hub.

    Raises:
        UnblindError: there is no such folder and it names no commit on the hub, or see `fetch`.
    """
    if Path(source).is_dir():
        return Path(source)
    repo, mark, revision = source.rpartition("@")
    if not mark or not _REPOSITORY.fullmatch(repo):
        raise UnblindError(
            f"no folder {source}", "name a folder, or owner/name@commit of the Hugging Face hub"
        )
    return fetch(repo, revision, patterns)


def names(source: str) -> list[str]:
    """Return the names of a checkpoint's files before any is fetched.

    Args:
        source: a folder, or ``owner/name@commit``.

    Returns:
        names, for a repository with their folders; none where the hub cannot be asked, and
        `place` will say why or take what lies in the cache.
    """
    if Path(source).is_dir():
        return sorted(path.name for path in Path(source).iterdir())
    from huggingface_hub import list_repo_files

    repo, _, revision = source.rpartition("@")
    try:
        return sorted(list_repo_files(repo, revision=revision))
    except Exception:  # httpx, OSError and the hub's own: no common ancestor
        return []


def _check(repo: str, revision: str, patterns: list[str]) -> None:
    if not _REPOSITORY.fullmatch(repo):
        raise UnblindError(f"{repo!r} is no repository of the hub", "write it as owner/name")
    if not _COMMIT.fullmatch(revision):
        raise UnblindError(
            f"{repo} at {revision or 'no revision'!r}: a branch or a tag may move",
            "name the full commit (40 hexadecimal digits), as the repository's page shows it",
        )
    unsafe = [pattern for pattern in patterns if not pattern.endswith(SAFE)]
    if unsafe or not patterns:
        raise UnblindError(
            f"{repo}: {', '.join(unsafe) or 'no file'} is not fetched",
            f"only {', '.join(SAFE)} are; pickles and code are not",
        )


def _reason(error: Exception) -> str:
    """Return one short line about why nothing came."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "its licence has to be accepted first"
    if isinstance(error, errors.RevisionNotFoundError):
        return "no such commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such repository, or no right to read it"
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return "the hub cannot be reached and the files are not in its cache"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _remedy(error: Exception, patterns: list[str]) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "accept it on the repository's page, then `hf auth login`"
    return f"fetch it where there is a network, or name a folder that holds {', '.join(patterns)}"
