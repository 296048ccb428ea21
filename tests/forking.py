"""A process that has imported Snakemake, and forks for each call of a Python module.

What a call finds is what ``python -m MODULE`` finds in an environment of its own, except that the
libraries are loaded already: of a dry run of the workflow, that is more than half the time. Nothing
of this package is loaded beforehand, for each project has its own copy.
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

#: What calls import in any case.
LOADED = ("snakemake.cli", "numpy", "psutil", "pydantic", "typer.rich_utils", "yaml")


def run(words, folder: Path, variables, out: Path) -> int:
    """Run ``python -m WORDS`` in a folder; return its exit code, negative if a signal ended it.

    Args:
        words: the module and its arguments.
        folder: where it runs.
        variables: its whole environment.
        out: file that gets its output and errors.
    """
    server = _server()
    request = {"words": words, "folder": str(folder), "variables": variables, "out": str(out)}
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _server() -> subprocess.Popen:
    """Start the process; it ends with its standard input, that is with this process."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, __file__], env={}, text=True, **pipes)


def _serve() -> None:
    del sys.path[0]  # this folder
    _load()
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    while line := requests.readline():
        child = os.fork()
        if not child:
            return _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _load() -> None:
    for name in LOADED:
        importlib.import_module(name)
    sys.modules["snakemake.cli"].get_argument_parser()  # loads the plugins


def _become(words, folder, variables, out) -> None:
    """Be the called process, to its end."""
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    os.chdir(folder)
    os.environ.update(variables)
    sys.path[:0] = [folder, *variables["PYTHONPATH"].split(os.pathsep)]
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
