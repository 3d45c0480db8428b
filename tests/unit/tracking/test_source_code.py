from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipapp
from pathlib import Path
from types import ModuleType, SimpleNamespace

import msgspec
import pytest

from ledger.tracking import source_code
from ledger.tracking.source_code import SourceCode, command_line, find_source, text_hash

REPOSITORY = Path(__file__).parents[3]

PROGRAM = """\
import msgspec
from ledger.tracking.source_code import command_line, find_source
found = find_source()
print(msgspec.json.encode([found, command_line(found.kind)]).decode())
"""


def run(*arguments, cwd, stdin=None):
    """Run Python and return the source and the arguments that the program found."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{cwd}"},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    # A prompt or a tool may say something before and after.
    [line] = [line for line in done.stdout.splitlines() if "[{" in line]
    return msgspec.json.decode(line[line.index("[{") :], type=tuple[SourceCode, list[str]])


def sha256(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def test_script_is_found_with_text_hash_name_and_key(script, tmp_path):
    found, arguments = run("train.py", "--n", "3", cwd=tmp_path)
    assert found == SourceCode(
        kind="script",
        path=str(script),
        text=PROGRAM,
        source_hash=sha256(PROGRAM),
        name="train",
        key="train.py",
    )
    assert arguments == ["--n", "3"]


def test_module_is_named_by_its_dotted_name(tmp_path):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mod.py").write_text(PROGRAM)
    (package / "__main__.py").write_text(PROGRAM)
    found, arguments = run("-m", "pkg.mod", "x", cwd=tmp_path)
    assert (found.kind, found.name, found.key) == ("module", "pkg.mod", "pkg/mod.py")
    assert (found.path, found.text) == (str(package / "mod.py"), PROGRAM)
    assert arguments == ["x"]
    whole, _ = run("-m", "pkg", cwd=tmp_path)
    assert (whole.kind, whole.name, whole.key) == ("module", "pkg", "pkg/__main__.py")


def test_caller_in_another_module_does_not_matter(tmp_path):
    (tmp_path / "helper.py").write_text(PROGRAM)
    (tmp_path / "main.py").write_text("import helper\n")
    found, _ = run("main.py", cwd=tmp_path)
    assert (found.key, found.text) == ("main.py", "import helper\n")


def test_folder_with_a_main_is_a_script_named_like_the_folder(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "__main__.py").write_text(PROGRAM)
    found, _ = run("app", cwd=tmp_path)
    assert (found.kind, found.path, found.key) == ("script", str(folder), "app")
    assert found.source_hash == sha256(PROGRAM)


def test_archive_is_read_through_its_loader(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "__main__.py").write_text(PROGRAM)
    zipapp.create_archive(folder, tmp_path / "app.pyz")
    found, _ = run("app.pyz", cwd=tmp_path)
    assert (found.kind, found.path) == ("script", str(tmp_path / "app.pyz"))
    assert (found.name, found.key, found.text) == ("app", "app.pyz", PROGRAM)


def test_code_given_on_the_command_line_or_on_standard_input_is_a_repl(tmp_path):
    expected = SourceCode(
        kind="repl", path=None, text=None, source_hash=None, name="repl", key=None
    )
    assert run("-c", PROGRAM, "x", cwd=tmp_path) == (expected, [])
    assert run("-", "x", cwd=tmp_path, stdin=PROGRAM) == (expected, [])
    assert run(cwd=tmp_path, stdin=PROGRAM) == (expected, [])


def test_prompt_is_a_repl(tmp_path):
    found, _ = run("-i", cwd=tmp_path, stdin=PROGRAM)
    assert (found.kind, found.path) == ("repl", None)


def test_prompt_of_a_tool_is_a_repl(tmp_path):
    found, _ = run("-m", "asyncio", cwd=tmp_path, stdin=PROGRAM)
    assert (found.kind, found.path) == ("repl", None)


@pytest.mark.parametrize(
    "tool", [["cProfile"], ["trace", "--count", "-C", "."], ["pdb", "-c", "c"]]
)
@pytest.mark.usefixtures("script")
def test_script_run_by_a_tool_is_the_script(tmp_path, tool):
    plain, _ = run("train.py", "x", cwd=tmp_path)
    found, arguments = run("-m", *tool, "train.py", "x", cwd=tmp_path, stdin="q\n")
    assert found == plain
    assert arguments == ["x"]


def test_worker_process_has_the_source_of_its_parent(tmp_path):
    (tmp_path / "main.py").write_text(
        "import multiprocessing\n"
        "import helper\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    worker = context.Process(target=helper.tell)\n"
        "    worker.start()\n"
        "    worker.join()\n"
    )
    (tmp_path / "helper.py").write_text(
        "def tell():\n" + "".join(f"    {line}\n" for line in PROGRAM.splitlines())
    )
    found, _ = run("main.py", cwd=tmp_path)
    assert (found.kind, found.path, found.key) == ("script", str(tmp_path / "main.py"), "main.py")


def test_text_is_read_when_asked_for(tmp_path):
    late = "# edited\n"
    edit = f"open(__file__, 'w').write({late!r})\n"
    (tmp_path / "main.py").write_text(edit + PROGRAM)
    found, _ = run("main.py", cwd=tmp_path)
    assert (found.text, found.source_hash) == (late, sha256(late))


def test_script_that_is_gone_has_neither_text_nor_hash(tmp_path):
    (tmp_path / "main.py").write_text("import os\nos.unlink(__file__)\n" + PROGRAM)
    found, _ = run("main.py", cwd=tmp_path)
    assert (found.kind, found.key) == ("script", "main.py")
    assert (found.text, found.source_hash) == (None, None)


# --- in this process: `__main__` is put in place of the test runner's -----------------------------


@pytest.fixture
def as_main(monkeypatch):
    """Let a file, or nothing, be what this process runs."""

    def become(path):
        main = ModuleType("__main__")
        main.__spec__ = None
        if path is not None:
            main.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "__main__", main)

    return become


@pytest.mark.parametrize("data", [b"a\r\nb\r\n", b"a\rb\r", b"\xef\xbb\xbfa\nb\n"])
def test_line_ends_and_byte_order_mark_do_not_matter(tmp_path, as_main, data):
    path = tmp_path / "s.py"
    path.write_bytes(data)
    as_main(path)
    assert find_source().text == "a\nb\n"
    assert find_source().source_hash == sha256("a\nb\n") == text_hash("a\r\nb\r\n")


def test_coding_line_is_obeyed(tmp_path, as_main):
    path = tmp_path / "s.py"
    path.write_bytes("# coding: latin-1\nx = 'é'\n".encode("latin-1"))
    as_main(path)
    assert find_source().text == "# coding: latin-1\nx = 'é'\n"


@pytest.mark.parametrize("data", [b"\0\1compiled", b"x = '\xff'\n", b"# coding: no-such\n"])
def test_source_that_is_no_text_has_the_hash_of_its_bytes(tmp_path, as_main, data):
    path = tmp_path / "s.pyc"
    path.write_bytes(data)
    as_main(path)
    found = find_source()
    assert found.text is None
    assert found.source_hash == "sha256:" + hashlib.sha256(data).hexdigest()


def test_key_is_relative_to_the_root_with_slashes(tmp_path, as_main):
    path = tmp_path / "scripts" / "e\u0301.py"
    path.parent.mkdir()
    path.touch()
    as_main(path)
    assert find_source(root=tmp_path).key == "scripts/\u00e9.py"
    assert find_source().key == "\u00e9.py"


def test_key_outside_the_root_is_the_file_name(tmp_path, as_main):
    path = tmp_path / "s.py"
    path.touch()
    as_main(path)
    assert find_source(root=tmp_path / "other").key == "s.py"


def test_root_reached_through_a_link_is_the_same_root(tmp_path, as_main):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "sub" / "s.py").touch()
    as_main(tmp_path / "link" / "sub" / "s.py")
    assert find_source(root=tmp_path / "real").key == "sub/s.py"


@pytest.fixture
def in_kernel(as_main, monkeypatch):
    """Let this process be a kernel that runs the notebook at a path, or at an unknown one."""

    def become(path):
        as_main(None)
        shell = SimpleNamespace(kernel=object(), user_ns={"__vsc_ipynb_file__": str(path)})
        monkeypatch.setattr(source_code, "active_shell", lambda: shell)
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)

    return become


def test_notebook_is_its_code(tmp_path, in_kernel):
    path = tmp_path / "Analysis 1.ipynb"
    cell = {"cell_type": "code", "source": "x = 1", "execution_count": 4}
    path.write_text(json.dumps({"nbformat": 4, "cells": [cell]}))
    in_kernel(path)
    expected = "# %%\nx = 1\n"
    assert find_source(root=tmp_path.parent) == SourceCode(
        kind="notebook",
        path=str(path),
        text=expected,
        source_hash=sha256(expected),
        name="Analysis 1",
        key=f"{tmp_path.name}/Analysis 1.ipynb",
    )


def test_script_opened_as_a_notebook_is_its_text(tmp_path, in_kernel):
    path = tmp_path / "paired.py"
    path.write_text("# %%\nx = 1\n")
    in_kernel(path)
    assert (find_source().kind, find_source().text) == ("notebook", "# %%\nx = 1\n")


def test_notebook_of_unknown_path_has_no_key(in_kernel):
    in_kernel(None)
    expected = SourceCode(
        kind="notebook", path=None, text=None, source_hash=None, name="notebook", key=None
    )
    assert find_source() == expected


def test_terminal_shell_is_a_repl(as_main, monkeypatch):
    as_main(None)
    monkeypatch.setattr(source_code, "active_shell", SimpleNamespace)
    assert find_source().kind == "repl"


def test_script_run_inside_a_kernel_is_the_script(tmp_path, in_kernel, as_main):
    in_kernel(None)
    (tmp_path / "s.py").touch()
    as_main(tmp_path / "s.py")
    assert find_source().kind == "script"


def test_arguments_of_a_kernel_are_not_the_users():
    assert command_line("notebook", ["kernel.py", "-f", "session.json"]) == ()
    assert command_line("script", ["s.py", "a"]) == ("a",)
