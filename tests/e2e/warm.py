"""Commands that begin warm: forks of a process that has every module loaded already.

A program that starts anew spends nine tenths of its time on loading what the hundred before it
loaded too. Each command still is a process of its own, with its own folder, environment and
standard streams; what depends on a fresh start begins with one, see `command.py`.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WARM = """
import atexit, importlib, json, os, pkgutil, runpy, sys, traceback
import ledger, ledger.cli, projections

for package in (ledger, projections):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

def run(asked):
    for name, stream in zip(("/dev/null", asked["out"], asked["err"]), range(3)):
        file = os.open(name, os.O_RDWR)
        os.dup2(file, stream)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = ["ledger", *asked["args"]]
    try:
        runpy.run_module("ledger", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    child = os.fork()
    if not child:
        run(json.loads(line))
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
"""


class Warm:
    """A process that has loaded everything, and whose children are the commands."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WARM],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._process.communicate)

    def run(
        self, folder: Path, args: Sequence[str], environment: dict[str, str]
    ) -> tuple[int, bytes, bytes]:
        """Run a command to its end; return its status and what it said on both streams."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            asked = {"folder": str(folder), "args": args, "env": environment}
            stdin.write(json.dumps({**asked, "out": out.name, "err": err.name}) + "\n")
            stdin.flush()
            return int(stdout.readline()), out.read(), err.read()
