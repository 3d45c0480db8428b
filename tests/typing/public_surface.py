"""What a type checker must know of the public door; read by mypy, run by nobody."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import assert_type

import ledger as ln
from ledger.past.changes import Diff, History
from ledger.past.lineage import Lineage
from ledger.registries.query import QuerySet
from ledger.registries.views import Tag, View
from ledger.upkeep.erasure import Erased

label = ln.ULabel(name="x", description=None)
assert_type(label.save(), ln.ULabel)
assert_type(ln.ULabel.get("uid"), ln.ULabel)
assert_type(ln.ULabel.filter(name="x"), QuerySet[ln.ULabel])
assert_type(ln.ULabel.filter().one(), ln.ULabel)
assert_type(ln.ULabel.filter().first(), ln.ULabel | None)
assert_type(ln.ULabel.filter().all(), list[ln.ULabel])
assert_type(ln.ULabel.filter()[0], ln.ULabel)
assert_type(ln.ULabel.filter()[:2], QuerySet[ln.ULabel])
assert_type(ln.ULabel.filter().count(), int)
assert_type(label.uid, str)
assert_type(label.history(), History)

artifact = ln.Artifact("a.txt", key="a.txt")
assert_type(artifact.save(), ln.Artifact)
assert_type(artifact.path, Path | str)
assert_type(artifact.cache(), Path)
assert_type(artifact.lineage(), Lineage)
assert_type(ln.Artifact.from_dir("folder"), list[ln.Artifact])
assert_type(ln.save([artifact]), list[ln.Artifact])
assert_type(ln.Collection([artifact], name="both").save(), ln.Collection)


def load_bytes(path: Path) -> bytes:
    return path.read_bytes()


assert_type(ln.loaders.register(".x", load_bytes)(Path("a.x")), bytes)
assert_type(ln.loaders.register(".x")(load_bytes)(Path("a.x")), bytes)

assert_type(ln.track(params={"n": 3}), ln.Run)
assert_type(ln.context.run, ln.Run | None)
assert_type(ln.as_of(3), View)
assert_type(ln.as_of(dt.datetime.now(dt.UTC)), View)
assert_type(ln.tag("paper-v1"), Tag)
assert_type(ln.diff(1, 2), Diff)
assert_type(ln.erase("Z8ZRoI", reason="request 17"), Erased)
