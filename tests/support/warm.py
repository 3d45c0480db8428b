"""Python programs that begin warm: forks of a process that has loaded every module already.

A script that starts anew spends nine tenths of its time on loading what the hundred before it
loaded too. Each program still is a process of its own, with its own folder, environment, streams
and end. A program whose start or end itself is tested begins with `subprocess`: below the first
frame of a warm one there is the frame that forked it.

1. `Program` is a `Popen`: it takes the same arguments and is asked and ended in the same way.
2. The keeper listens on a socket. A connection brings one task with the three streams; the answer
   is the process and, once that has ended, its status.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
# What Python reads when it starts and the keeper does in its place; other settings are the tests'.
_UNDERSTOOD = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS"}

_KEEPER = r"""
import atexit, gc, importlib, json, os, pkgutil, select, signal, socket, sys, threading, types
import warnings
import ledger, ledger.cli, projections

of_python = [it for it in sys.path if it not in {"", sys.argv[2]}]
for package in (ledger, projections):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

def become(task, streams):
    # Be what Python would be just before the first line of the program.
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    for stream in {*streams} - {0, 1, 2}:
        os.close(stream)
    if task["apart"]:
        os.setsid()
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["env"])
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    warnings._processoptions([it for it in os.environ.get("PYTHONWARNINGS", "").split(",") if it])
    sys.orig_argv = [sys.executable, *task["args"]]
    kind, *rest = task["args"]
    paths = [it for it in os.environ.get("PYTHONPATH", "").split(os.pathsep) if it]
    main = types.ModuleType("__main__")
    main.__builtins__ = __builtins__
    if kind == "-c":
        text, sys.argv, name = rest[0], ["-c", *rest[1:]], "<string>"
        paths.insert(0, "")
    else:
        main.__file__ = name = os.path.abspath(kind)
        main.__cached__ = None
        text, sys.argv = open(name, "rb").read(), [kind, *rest]
        paths.insert(0, os.path.dirname(os.path.realpath(name)))
    sys.path[:] = paths + of_python
    sys.modules["__main__"] = main
    return compile(text, name, "exec", dont_inherit=True), main.__dict__

def next_program(listener):
    # Answer until there is a task; return it in the child that was forked for it.
    waiting = {}
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([0, listener, woken], [], [])
        if 0 in ready:
            os._exit(0)  # whoever asked has ended
        if woken in ready:
            os.read(woken, 4096)
        while waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            with waiting.pop(pid) as asker:
                try:
                    asker.send(b"%d\n" % status)
                except OSError:
                    pass  # nobody waits for it any more
        if listener in ready:
            asker, _ = listener.accept()
            said, streams, _, _ = socket.recv_fds(asker, 1 << 20, 3)
            while not said.endswith(b"\n"):
                said += asker.recv(1 << 20)
            child = os.fork()
            if not child:
                for it in (listener, asker, *waiting.values()):
                    it.close()
                os.close(woken)
                os.close(wake)
                return json.loads(said), streams
            for stream in streams:
                os.close(stream)
            waiting[child] = asker
            asker.send(b"%d\n" % child)

listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen(64)
gc.freeze()
os.write(1, b"ready\n")
program = next_program(listening)
status, is_interrupted = 0, False
try:
    exec(*become(*program))
except SystemExit as end:
    status = end.code
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
except BaseException as error:
    status, is_interrupted = 1, isinstance(error, KeyboardInterrupt)
    while error.__traceback__ and error.__traceback__.tb_frame.f_globals is globals():
        error.__traceback__ = error.__traceback__.tb_next
    sys.excepthook(type(error), error, error.__traceback__)
# What Python does at the end but for the last, which takes longest: to take all modules apart.
threading._shutdown()
atexit._run_exitfuncs()
for stream in (sys.stdout, sys.stderr):
    try:
        stream.flush()
    except (OSError, ValueError):
        status = status or 120
if is_interrupted:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
os._exit((status or 0) & 255)
"""


class _Keeper:
    """The warm process of this one, which ends with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self.address = str(Path(self._folder.name) / "socket")
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, self.address, str(PROJECT)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self.end)

    def end(self) -> None:
        if os.getpid() == self.owner:
            self._process.communicate()
            self._folder.cleanup()


@functools.cache
def _keeper(_pid: int) -> _Keeper:
    return _Keeper()


def _begins_warm(args: Sequence[str], env: dict[str, str]) -> bool:
    ours = os.environ
    names = {it for it in {*env, *ours} if it.startswith("PYTHON")} - _UNDERSTOOD
    return (
        args[0] == sys.executable
        and (args[1] == "-c" or not args[1].startswith("-"))
        and all(env.get(name) == ours.get(name) for name in names)
    )


class Program(subprocess.Popen):  # type: ignore[type-arg]
    """A program that was forked from the warm process; `args` begin with `sys.executable`.

    A program for which Python itself begins in another way starts anew.
    """

    _line: socket.socket | None = None

    def _execute_child(  # noqa: PLR0913, PLR0917 (as `Popen` has it)
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any,
        cwd: Any, env: Any, startupinfo: Any, creationflags: Any, shell: Any,
        p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int, errread: int, errwrite: int,
        restore_signals: Any, gid: Any, gids: Any, uid: Any, umask: Any,
        start_new_session: Any, process_group: Any,
    ) -> None:  # fmt: skip
        words = [os.fspath(it) for it in args]
        variables = {str(k): str(v) for k, v in (os.environ if env is None else env).items()}
        if not _begins_warm(words, variables):
            super()._execute_child(  # type: ignore[misc]
                args, executable, preexec_fn, close_fds, pass_fds,
                cwd, env, startupinfo, creationflags, shell,
                p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite,
                restore_signals, gid, gids, uid, umask, start_new_session, process_group,
            )  # fmt: skip
            return
        task = {
            "args": words[1:],
            "folder": os.fspath(Path.cwd() if cwd is None else cwd),
            "env": variables,
            "apart": bool(start_new_session),
        }
        streams = [own if it == -1 else it for own, it in enumerate((p2cread, c2pwrite, errwrite))]
        told = json.dumps(task).encode() + b"\n"
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_keeper(os.getpid()).address)
        self._line.sendall(told[socket.send_fds(self._line, [told], streams) :])
        self.pid = int(self._told())
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite
        )

    def _told(self) -> bytes:
        assert self._line is not None
        said = b""
        while not said.endswith(b"\n"):
            more = self._line.recv(1)
            assert more, "the warm process has ended"
            said += more
        return said

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._line is None:
            return super()._try_wait(flags)  # type: ignore[misc,no-any-return]
        if flags & os.WNOHANG and not select.select([self._line], [], [], 0)[0]:
            return 0, 0
        status = int(self._told())
        self._line.close()
        return self.pid, status

    def _internal_poll(self, *args: Any, **kwargs: Any) -> int | None:
        if self._line is None:
            return super()._internal_poll(*args, **kwargs)  # type: ignore[misc,no-any-return]
        if self.returncode is None and self._line.fileno() != -1:
            with self._waitpid_lock:  # type: ignore[attr-defined]
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


def run(
    args: Sequence[object], *, timeout: float | None = None, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program that begins warm to its end, as `subprocess.run` does."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    with Program(args, **options) as program:
        try:
            out, err = program.communicate(given, timeout=timeout)
        except BaseException:
            program.kill()
            raise
    done = subprocess.CompletedProcess(args, program.returncode, out, err)
    if check:
        done.check_returncode()
    return done
