"""Shell commands that produce the records behind a claim."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.config.files import arguments

#: Holds the settings that differ from the configuration file.
_CHANGED = "changed.yaml"


class Commands:
    """Commands of one study.

    Args:
        config: the study.
        path: the file that it was loaded from.
        default: the file that commands take when none is named.
    """

    def __init__(self, config: Config, path: Path, default: Path) -> None:
        _, file, *options = arguments([path], config.model_dump(mode="json"))
        self._changed = options[1::2]
        self._file = None if path == default else file
        self._seeds = {run: config.of(run).seeds for run in config.runs}
        self._folder = shlex.quote(Path(config.results, "rollouts").as_posix())

    def audit(self, claim: str) -> str:
        """Return the command that shows one claim."""
        words = ["unblind", "audit", "--cell", claim]
        words += ["--config", self._file] if self._file else []
        return shlex.join(words + [word for change in self._changed for word in ("--set", change)])

    def records(self, runs: Iterable[str], conditions: Iterable[str]) -> str:
        """Return the command that makes records of all seeds, with everything that they need."""
        runs = list(runs)
        shared = [str(s) for s in self._seeds[runs[0]] if all(s in self._seeds[r] for r in runs)]
        parts = map(_any_of, (runs, shared, conditions))
        return self._snakemake("/".join([self._folder, *parts]) + ".parquet")

    def files(self, paths: Iterable[Path]) -> str:
        """Return the command that makes these files, with everything that they need."""
        return self._snakemake(shlex.join(path.as_posix() for path in paths))

    def _snakemake(self, targets: str) -> str:
        words = ["snakemake --cores all", targets]
        files = ([self._file] if self._file else []) + ([_CHANGED] if self._changed else [])
        words += [shlex.join(["--configfile", *files])] if files else []
        command = " ".join(words)
        if not self._changed:
            return command
        # Snakemake's own option for single values takes no nested numbers.
        return f"echo {shlex.quote(_nested(self._changed))} > {_CHANGED} && {command}"

    def then(self, command: str, claim: str) -> str:
        """Return a command that makes records, followed by the one that shows a claim."""
        return f"{command} && {self.audit(claim)}"


def _any_of(names: Iterable[str]) -> str:
    """Return the shell's braces for several plain names, and a single one as it is."""
    distinct = list(dict.fromkeys(names))
    return distinct[0] if len(distinct) == 1 else "{" + ",".join(distinct) + "}"


def _nested(changed: Iterable[str]) -> str:
    """Return changed values as the content of a configuration file.

    Args:
        changed: ``dotted.key=JSON`` each.
    """
    nested: dict[str, Any] = {}
    for change in changed:
        key, _, value = change.partition("=")
        *parents, last = key.split(".")
        section = nested
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = json.loads(value)
    return json.dumps(nested)
