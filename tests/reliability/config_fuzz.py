"""Configurations with one seeded mistake each, and whether the command line copes with them."""

import contextlib
import copy
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import yaml

#: Values that stand where another kind or range is wanted; some happen to be allowed somewhere.
STRANGE = (
    *(None, True, "", "text", "1", "../..", -1, 0, 2.5, 10**30, 1e-320),
    *(float("nan"), float("inf"), [], [1], ["a", "a"], {}, {"a": 1}, [[]], {1: 2}),
)
#: Text that is no YAML, or YAML that nobody should load.
BROKEN = {
    "open bracket": b"demos: [1, 2\n",
    "tab": b"\tdemos: 1\n",
    "second document": b"---\nseed: 1\n---\nseed: 2\n",
    "not UTF-8": b"label: \xff\xfe\n",
    "NUL byte": b"seed: \x000\n",
    "Python object": b"seed: !!python/object/apply:os.getcwd []\n",
    "a list": b"- 1\n- 2\n",
    "empty file": b"",
    "deep nesting": b"seed: " + b"[" * 5000 + b"]" * 5000 + b"\n",
    # Ten to the power of nine letters if it is written out.
    "aliases of aliases": b"a0: &a0 [x]\n"
    + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 10)
    )
    + b"seed: *a9\n",
    "unknown alias": b"seed: *nowhere\n",
}


@dataclass(frozen=True)
class Mutation:
    """A configuration file with one mistake.

    Attributes:
        kind: of the mistake.
        key: where, by dotted name; empty if the whole file is concerned.
        data: the file's bytes.
    """

    kind: str
    key: str
    data: bytes


@dataclass(frozen=True)
class Verdict:
    """What the command line did.

    Attributes:
        outcome: "valid", "one error" or what went wrong.
        said: the error line.
    """

    outcome: str
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether the configuration was taken or refused as it should."""
        return self.outcome in ("valid", "one error")


def mutations(text: str, n: int, seed: int) -> list[Mutation]:
    """Return ``n`` configurations made from the complete one ``text``; the same for a seed."""
    rng = np.random.default_rng(seed)
    values = yaml.safe_load(text)
    broken = [Mutation(f"broken file: {kind}", "", data) for kind, data in BROKEN.items()]
    kinds: list[Callable[..., Mutation]] = [_drop, _misspell, _add, _replace, _nudge, _twice]
    made = [kinds[i % len(kinds)](rng, values) for i in range(n - len(broken))]
    return broken + made


def judge(mutation: Mutation, place: Path, schema: dict[str, Any]) -> Verdict:
    """Run `unblind costs` on a mutation, which is written to ``place``.

    A valid one must also fit the JSON schema, by which Snakemake checks it; a refused one must
    give a single line that names the key, or the file if that cannot be read at all.
    """
    place.write_bytes(mutation.data)
    code, out, error = _costs(place)
    if code not in (0, 1):
        return Verdict(f"ended with {code}", error.strip()[-300:])
    if code == 0:
        if mutation.kind == "key given twice":
            return Verdict("one of two values was taken without a word")
        try:
            jsonschema.validate(yaml.safe_load(mutation.data), schema)
        except jsonschema.ValidationError as problem:
            return Verdict("valid, but not for the schema", problem.message)
        return Verdict("valid") if out else Verdict("printed nothing")
    lines = error.splitlines()
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return Verdict("not one line", error.strip()[-300:])
    named = mutation.key.rpartition(".")[2] or place.name
    if named not in lines[0]:
        return Verdict(f"does not name {named}", lines[0])
    return Verdict("one error", lines[0])


def _costs(place: Path) -> tuple[int | str, str, str]:
    """Return exit code (or the name of an escaped exception) and what was printed."""
    from unblind import cli

    out, error, words = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["unblind", "costs", "--config", str(place)]
    code: int | str = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException as escaped:  # a traceback for the user: what is looked for
            code = f"{type(escaped).__name__}: {escaped}"[:200]
        finally:
            sys.argv = words
    return code, out.getvalue(), error.getvalue()


# ---- mistakes --------------------------------------------------------------------------------


def _keys(values: Any, prefix: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all keys, also of those in lists of mappings."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*prefix, key)
            yield from _keys(value, (*prefix, key))
    elif isinstance(values, list):
        for place, value in enumerate(values):
            yield from _keys(value, (*prefix, place))


def _chosen(rng: np.random.Generator, values: dict) -> tuple[dict, Any, str, str]:
    """Return a copy, the mapping of a random key in it, that key, and its dotted name."""
    changed = copy.deepcopy(values)
    paths = list(_keys(changed))
    *parents, last = paths[rng.integers(len(paths))]
    place: Any = changed
    for part in parents:
        place = place[part]
    return changed, place, last, ".".join(map(str, (*parents, last)))


def _dump(values: dict) -> bytes:
    return yaml.safe_dump(values, sort_keys=False).encode()


def _drop(rng: np.random.Generator, values: dict) -> Mutation:
    changed, place, key, name = _chosen(rng, values)
    del place[key]
    return Mutation("key left out", name, _dump(changed))


def _misspell(rng: np.random.Generator, values: dict) -> Mutation:
    changed, place, key, name = _chosen(rng, values)
    at = int(rng.integers(len(key)))
    wrong = key[:at] + key[at] + key[at:]
    place[wrong] = place.pop(key)
    parent = name.rpartition(".")[0]
    return Mutation("key misspelt", f"{parent}.{wrong}" if parent else wrong, _dump(changed))


def _add(rng: np.random.Generator, values: dict) -> Mutation:
    changed, place, _, name = _chosen(rng, values)
    extra = f"extra_{rng.integers(100)}"
    place[extra] = STRANGE[rng.integers(len(STRANGE))]
    parent = name.rpartition(".")[0]
    return Mutation("unknown key", f"{parent}.{extra}" if parent else extra, _dump(changed))


def _replace(rng: np.random.Generator, values: dict) -> Mutation:
    changed, place, key, name = _chosen(rng, values)
    place[key] = STRANGE[rng.integers(len(STRANGE))]
    return Mutation(f"value {json.dumps(place[key])[:12]}", name, _dump(changed))


def _nudge(rng: np.random.Generator, values: dict) -> Mutation:
    """A number that is a little larger, mostly allowed; other values stay."""
    changed, place, key, name = _chosen(rng, values)
    place[key] = _larger(place[key])
    return Mutation("value nudged", name, _dump(changed))


def _twice(rng: np.random.Generator, values: dict) -> Mutation:
    """A key that stands twice in its mapping, with two allowed values."""
    changed, place, key, name = _chosen(rng, values)
    mark = "twice_in_this_mapping"
    place[mark] = _larger(place[key])
    return Mutation("key given twice", name, _dump(changed).replace(mark.encode(), key.encode()))


def _larger(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value + 1 if number else value
