"""Scripts of one name in several places, renamed scripts, and those known under older keys."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.model.commands import SaveTransform
from ledger.registries.transform import stem_of
from ledger.tracking.source_code import text_hash
from tests.support.histories import HEAD, TAIL, Lab


@pytest.fixture(params=["sqlite", "postgres"])
def lab(request, ledger_folder, tmp_path):  # noqa: ARG001 (the folder it works in)
    is_on_server = request.param == "postgres"
    ledger = tmp_path / "shared"
    ledger.mkdir()
    found = Lab(ledger, str(request.getfixturevalue("postgres")) if is_on_server else None)
    yield found
    ln.close()


def run(lab: Lab, path, text: str) -> ln.Run:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + text + TAIL)
    lab.run(name=str(path))
    return ln.Run.filter().last()


def test_scripts_of_one_name_in_two_folders_are_two_transforms(lab, tmp_path):
    run(lab, tmp_path / "a" / "job.py", "ln.ULabel('a').save()\n")
    run(lab, tmp_path / "b" / "job.py", "ln.ULabel('b').save()\n")
    stems = {transform.uid[:12]: transform.key for transform in ln.Transform.filter()}
    assert sorted(stems.values()) == [
        (tmp_path / name / "job.py").as_posix() for name in ("a", "b")
    ]
    later = run(lab, tmp_path / "a" / "job.py", "ln.ULabel('c').save()\n")
    assert later.transform.versions.count() == 2


def test_a_script_that_was_known_by_its_file_name_alone_goes_on_so(lab, tmp_path):
    text = "ln.ULabel('a').save()\n"
    lab.ledger.handler.perform(
        SaveTransform(
            stem=stem_of("job.py"),
            source_hash=text_hash(HEAD + text + TAIL),
            defaults={"name": "job", "key": "job.py", "kind": "script"},
            fields={},
        )
    )
    known = ln.Transform.filter().one()
    assert run(lab, tmp_path / "a" / "job.py", text).transform == known
    other = run(lab, tmp_path / "b" / "job.py", "ln.ULabel('b').save()\n")
    assert other.transform.key == (tmp_path / "b" / "job.py").as_posix()


def test_a_renamed_script_is_told_how_to_go_on(lab):
    lab.script("ln.ULabel('a').save()", name="old.py")
    lab.run(name="old.py")
    (lab.folder / "old.py").rename(lab.folder / "new.py")
    said = lab.run(name="new.py").said
    assert "known as transform 'old.py'" in said
    assert "track(key='old.py')" in said
    assert "known as transform" not in lab.run(name="new.py").said
