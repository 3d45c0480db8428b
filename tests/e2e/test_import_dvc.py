"""Projects of DVC brought in: stages as runs, files with the content that DVC says they have."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.bridges import dvc, import_dvc
from ledger.errors import InvalidValueError, MissingDependencyError
from tests.e2e.command import metaledger

pytestmark = pytest.mark.usefixtures("here")

HEAD = "schema: '2.0'\nstages:\n"


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def files(kind: str, *items: tuple[str, str, int]) -> str:
    told = [
        f"    - path: {path}\n      hash: md5\n      md5: '{md5}'\n      size: {size}\n"
        for path, md5, size in items
    ]
    return f"    {kind}:\n{''.join(told)}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two stages, the later one first, and with a file that was added alone."""
    root = tmp_path / "project"
    (root / "raw").mkdir(parents=True)
    raw, clean = b"x\n1\n", b"x\n2\n"
    (root / "raw" / "in.csv").write_bytes(raw)
    (root / "clean.csv").write_bytes(clean)
    raw_item, clean_item = ("raw/in.csv", md5_of(raw), 4), ("clean.csv", md5_of(clean), 4)
    (root / "dvc.lock").write_text(
        f"{HEAD}  train:\n    cmd: python train.py\n"
        + files("deps", clean_item)
        + "    params:\n      params.yaml:\n        lr: 0.1\n        day: 2024-01-01\n"
        "      other.yaml:\n        depth: 3\n"
        + files("outs", ("model.pkl", "0" * 32, 7))
        + "  clean:\n    cmd: python clean.py\n"
        + files("deps", raw_item)
        + files("outs", clean_item)
    )
    (root / "raw" / "in.csv.dvc").write_text(
        f"desc: as it came\nouts:\n- md5: {md5_of(raw)}\n  size: 4\n  hash: md5\n  path: in.csv\n"
    )
    return root


def test_stages_are_runs_and_their_files_are_artifacts(project):
    planned = import_dvc(project, dry_run=True)
    assert ln.Run.filter().count() == 0
    done = import_dvc(project)
    assert done.adds_up
    assert done.events == planned.events
    clean = ln.Artifact.get(key="clean.csv")
    assert not clean.is_declared
    assert clean.run.transform.name == "clean"
    assert clean.run.status == "finished"
    assert clean.run.transform.source_code == "python clean.py\n"
    assert [it.key for it in clean.run.inputs] == ["raw/in.csv"]
    assert ln.Artifact.get(key="raw/in.csv").description == "as it came"
    model = ln.Artifact.get(key="model.pkl")
    assert model.is_declared
    assert list(model.run.inputs) == [clean]
    assert model.run.params == {"lr": 0.1, "day": "2024-01-01", "other.yaml": {"depth": 3}}
    assert ln.audit(content=True).ok
    assert clean.path.read_bytes() == b"x\n2\n"


def test_the_same_project_again_adds_nothing_and_a_stage_that_changed_adds_a_run(project):
    import_dvc(project)
    again = import_dvc(project / "dvc.lock")
    assert again.events == 0
    assert all(not row.imported for row in again.counts.values())
    lock = project / "dvc.lock"
    lock.write_text(lock.read_text().replace("lr: 0.1", "lr: 0.2"))
    import_dvc(project)
    runs = ln.Run.filter(transform__name="train").all()
    assert sorted(run.params["lr"] for run in runs) == [0.1, 0.2]
    assert ln.Run.filter(transform__name="clean").count() == 1


def test_the_content_is_that_which_dvc_says_or_none(project):
    """A file that was changed since is another content; DVC's cache may have the former one."""
    (project / "clean.csv").write_bytes(b"x\n9\n")
    cached = project / ".dvc/cache/files/md5" / md5_of(b"x\n2\n")[:2]
    cached.mkdir(parents=True)
    (cached / md5_of(b"x\n2\n")[2:]).write_bytes(b"x\n2\n")
    (project / "raw" / "in.csv").write_bytes(b"x\n8\n")
    done = import_dvc(project)
    assert not ln.Artifact.get(key="clean.csv").is_declared
    assert ln.Artifact.get(key="clean.csv").path.read_bytes() == b"x\n2\n"
    assert ln.Artifact.get(key="raw/in.csv").is_declared
    assert not done.damaged


def test_declaring_reads_no_content(project):
    done = import_dvc(project, declare=True)
    assert all(it.is_declared for it in ln.Artifact.filter())
    assert done.adds_up


def test_a_folder_is_an_artifact_of_its_files(project):
    (project / "plates").mkdir()
    (project / "plates" / "a.txt").write_text("a")
    (project / "dvc.lock").write_text(
        f"{HEAD}  split:\n    cmd: [python a.py, python b.py]\n    outs:\n    - path: plates\n"
        "      hash: md5\n      md5: 4d7c8a2c1d0b2e3f4a5b6c7d8e9f0a1b.dir\n      size: 1\n"
        "      nfiles: 1\n"
    )
    done = import_dvc(project)
    plates = ln.Artifact.get(key="plates")
    assert plates.n_files == 1
    assert done.unchecked
    assert plates.run.transform.source_code == "python a.py\npython b.py\n"


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/hostname", "a/../../secret.txt"])
def test_a_path_that_leads_out_of_the_project_is_never_followed(project, path):
    (project.parent / "secret.txt").write_text("abc")
    (project / "dvc.lock").write_text(
        f"{HEAD}  s:\n    cmd: c\n" + files("outs", (path, md5_of(b"abc"), 3))
    )
    done = import_dvc(project)
    assert done.adds_up
    assert all(it.is_declared for it in ln.Run.filter(transform__name="s").one().outputs)


def test_a_link_that_leads_out_of_the_project_is_never_followed(project):
    (project.parent / "secret.txt").write_text("abc")
    (project / "link.txt").symlink_to(project.parent / "secret.txt")
    (project / "dvc.lock").write_text(
        f"{HEAD}  s:\n    cmd: c\n" + files("outs", ("link.txt", md5_of(b"abc"), 3))
    )
    import_dvc(project)
    assert ln.Artifact.get(key="link.txt").is_declared


@pytest.mark.parametrize(
    "told", ["hash: md5\n      md5: abc.dir\n      nfiles: 1", "hash: etag\n      etag: abc"]
)
def test_a_link_that_cannot_be_compared_is_never_followed_out_either(project, told):
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("abc")
    is_folder = "nfiles" in told
    (project / "link").symlink_to(outside if is_folder else outside / "secret.txt")
    (project / "dvc.lock").write_text(
        f"{HEAD}  s:\n    cmd: c\n    outs:\n    - path: link\n      {told}\n"
    )
    import_dvc(project)
    assert ln.Artifact.get(key="link").is_declared


def test_declaring_reads_no_file(project, monkeypatch):
    """Nothing is hashed; where a file lies is told."""
    monkeypatch.setattr(dvc, "_has_md5", None)
    import_dvc(project, declare=True)
    assert ln.Artifact.get(key="clean.csv").whereabouts == str(project / "clean.csv")


def test_stages_in_a_circle_are_refused(project):
    one, two = ("one", "1" * 32, 1), ("two", "2" * 32, 1)
    (project / "dvc.lock").write_text(
        f"{HEAD}  a:\n    cmd: a\n"
        + files("deps", two)
        + files("outs", one)
        + "  b:\n    cmd: b\n"
        + files("deps", one)
        + files("outs", two)
    )
    with pytest.raises(InvalidValueError, match="later"):
        import_dvc(project)
    assert ln.Run.filter().count() == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schema: '9.0'\n", r"expected schema '2.0', found '9.0'"),
        ("a: [", "expected YAML, but .* in line 1"),
        ("- a\n- b\n", "expected a mapping, found list"),
        (f"{HEAD}  s: 3\n", "expected a mapping of stage 's', found int"),
        (f"{HEAD}  s:\n    outs: 3\n", "expected a list of files with their paths, found int"),
        (f"{HEAD}  s:\n    outs:\n    - md5: a\n", "expected a list of files with their paths"),
        (f"{HEAD}  s:\n    outs:\n    - {{path: a, md5: 12}}\n", "expected md5 of 'a' as a text"),
        (f"{HEAD}  s: &a {{}}\n  t: *a\n", "line 3 repeats a part"),
        ("!!python/object/apply:os.system ['true']\n", "expected YAML"),
    ],
)
def test_what_dvc_did_not_write_is_one_error_and_nothing_is_recorded(project, text, told):
    (project / "dvc.lock").write_text(text)
    head = ln.head()
    with pytest.raises(InvalidValueError, match=told):
        import_dvc(project)
    assert ln.head() == head


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match=r"expected a folder with dvc.lock"):
        import_dvc(tmp_path / "nothing")


def test_a_missing_library_names_the_extra(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match=r"metaledger\[dvc\]"):
        import_dvc(project)


def test_the_command_tells_the_counts(project, here):
    told = json.loads(metaledger(here, "import", "dvc", str(project), "--json").out)
    assert told["counts"]["run"] == {"read": 2, "imported": 2, "known": 0, "left_out": 0}
    assert "0 events recorded" in metaledger(here, "import", "dvc", str(project)).err
