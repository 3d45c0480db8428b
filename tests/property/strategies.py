"""Random histories that a ledger could have recorded, and random questions about them.

A history is consistent: it renames what exists, takes no name that a live label bears, links and
unlinks in turn. Pools of values are small, so that questions often meet what they ask for.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import strategies as st

from ledger.model.comparable import comparable
from ledger.model.events import RecordedEvent
from ledger.model.parameters import canonical_params, plain_value
from ledger.model.schema import REGISTRIES, FieldSpec, RelationSpec
from projections.fold import Closed, fold, intent_key, subject_key
from projections.select import EVERYTHING, OPERATORS, And, Not, Or, Order, Select, Test, Where
from projections.tables import TABLES
from tests.support import builders as b

Known: TypeAlias = dict[tuple[str, str], list[Any]]

# Case that folds to another length, wildcards of SQL, a NUL, and code points that UTF-16 would
# sort the other way round.
NAMES = (
    "T cell", "t cell", "T cells", "straße", "STRASSE", "İstanbul", "100%", "1000", "a_b", "axb",
    "'; --", "a\0b", "a", "\uffff", "\U00010000", "\U0010ffff",
)  # fmt: skip
TEXTS = (None, "", "a", "A", "cell", "%", "ß", "T cell of a mouse", "\U0010ffff")
KEYS = ("a.csv", "A.csv", "data/a.csv", "data/b.csv", "_")
CONTENTS = ("a", "b", "cc", "dd", "eeee")
PARTS = ("", "a", "A", "cell", "SS", "ß", "%", "_", "i̇", "\0", "csv", "\U0010ffff")
NUMBERS = (0, 1, 2, 4, -1, 2**63 - 1, -(2**63))
# What parameters may hold, and the names that lead there; some lead to several values.
INNER = (
    0, 1, 1.0, -1, 0.1, 0.5, -0.5, 1e300, -1e300, 5e-324, 2**53, 2**53 + 1, 2.0**53, 2**64,
    -(2**64), 10**400, float("inf"), float("-inf"), float("nan"), -0.0, True, False, None, "", "a",
    "A", "0.5", "true", "a\1b", "straße", "STRASSE", [], [1], [1.0, None], [True], ["a"], {},
    {"b": 1}, {"b": "a"}, {"float": "y"}, {"b": {"c": 0.5}}, {"b__c": 0.5},
)  # fmt: skip
INNER_PLACES = (
    ("a",), ("b",), ("a", "b"), ("a", "b", "c"), ("a__b",), ("a", "float"), ("",), ("other", "b"),
)  # fmt: skip
TIMES = tuple(b.EPOCH + seconds * b.SECOND for seconds in range(4))

_PLAIN_VALUES: dict[str, tuple[Any, ...]] = {
    "name": NAMES,
    "description": TEXTS[1:],
    "key": KEYS,
    "hash": CONTENTS,
    "status": ("started", "finished", "failed"),
    "version": ("1", "2"),
}
_UIDS: dict[str, tuple[str, ...]] = {
    "ulabel": tuple(b.label_uid(name) for name in NAMES),
    "artifact": tuple(b.artifact_uid(content) for content in CONTENTS),
    "collection": tuple(b.collection_uid(name) for name in NAMES[:4]),
    "transform": tuple(b.transform_uid(name) for name in NAMES[:3]),
    "run": tuple(b.run_uid(n) for n in range(1, 6)),
}


@st.composite
def histories(draw: st.DrawFn, *, max_events: int = 30) -> list[RecordedEvent]:
    """Return consistent histories, from empty ones on; most begin with a few records of each kind.

    A question about one or two records is answered by all of them or by none.
    """
    world = _World(draw)
    if draw(st.integers(0, 7)):
        beginnings = [world.create_label] * 4 + [world.register_artifact] * 3
        for begin in [world.register_transform, world.start_run, world.start_run, *beginnings]:
            begin()
        world.create_collection()
        world.link()
    for _ in range(draw(st.integers(0, max_events))):
        world.step()
    return b.log(*world.events)


def known_values(history: list[RecordedEvent]) -> dict[tuple[str, str], list[Any]]:
    """Return, by table and column, the values that a history left there at any time."""
    values: dict[tuple[str, str], dict[Any, None]] = {}
    for it in history:
        for change in fold(it):
            if not isinstance(change, Closed):
                for column, value in change.values.items():
                    if value is not None:
                        values.setdefault((change.table, column), {})[value] = None
    return {place: list(found) for place, found in values.items()}


class _World:
    """What was recorded so far, as far as the next event has to know it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.events: list[Any] = []
        self.states: dict[tuple[str, str], int] = {}
        self.names: dict[str, str] = {}
        self.made_by: set[tuple[str, str]] = set()
        self.inputs: set[tuple[str, str]] = set()
        self.links: set[tuple[str, str, str, str]] = set()
        self.retracted: set[str] = set()
        self.n_aliases = 0
        self.mergers: dict[str, tuple[str, list[Any], list[Any]]] = {}

    def step(self) -> None:
        """Let one more thing happen, of those that can."""
        steps = [self.create_label, self.register_artifact, self.start_run, self.register_transform]
        steps += [self.declare_artifact]
        if self.events:
            steps += [self.record_blob, self.create_collection]
        if any(state < 2 for state in self.states.values()):
            steps += [self.add_alias]
        if self.states:
            steps += [self.move_to_trash_or_back, self.move_to_trash_or_back, self.withdraw]
        if self.of("ulabel"):
            steps += [self.rename, self.describe]
            steps += [self.merge, self.undo_merge]
        if self.of("collection"):
            steps += [self.name_collection]
        if self.of("artifact"):
            steps += [self.retract, self.lift_retraction]
            steps += [self.key, self.key, self.reproduce, self.describe_artifact]
        if self.of("artifact") and self.of("ulabel"):
            steps += [self.link, self.link, self.link]
        if self.of("run"):
            steps += [self.finish, self.resume, self.abandon]
        if self.of("run") and self.of("artifact"):
            steps.append(self.read)
        self.draw(st.sampled_from(steps))()

    def of(self, registry: str) -> list[str]:
        """Uids of the records of a registry that are not withdrawn."""
        return [uid for (kind, uid), state in self.states.items() if kind == registry and state < 2]

    def one(self, registry: str) -> str:
        return self.draw(st.sampled_from(self.of(registry)))

    def one_or_none(self, registry: str) -> str | None:
        return self.draw(st.sampled_from([None, *self.of(registry)]))

    def text(self) -> str | None:
        return self.draw(st.sampled_from(TEXTS))

    def common(self, *, in_run: bool = True) -> dict[str, Any]:
        """What any event carries; inside a run its command is an intent, told once."""
        given = {"at": self.draw(st.sampled_from(TIMES)), "actor": self.draw(st.sampled_from("ab"))}
        run = self.one_or_none("run") if in_run else None
        if run is None:
            return given
        place = len(self.events)
        noted = [
            (intent_key("noted", place, {}, n), subject_key("noted", place), "uid")
            for n in range(self.draw(st.integers(0, 2)))
        ]
        intent = ("save", f"subject {place}", {}, place)
        return given | {
            "run": run,
            "command": ["intent", run, *intent],
            "intent": (intent_key(*intent), subject_key(*intent[:2])),
            "noted": tuple(noted),
        }

    def add(self, event: Any) -> None:
        self.events.append(event)

    def is_free(self, name: str) -> bool:
        return all(
            other != name or self.states["ulabel", uid] != 0 for uid, other in self.names.items()
        )

    def create_label(self) -> None:
        name = self.draw(st.sampled_from(NAMES))
        uid = b.label_uid(name)
        if self.is_free(name) and ("ulabel", uid) not in self.states:
            self.add(b.label_created(name, fields={"description": self.text()}, **self.common()))
            self.states["ulabel", uid] = 0
            self.names[uid] = name

    def rename(self) -> None:
        uid, name = self.one("ulabel"), self.draw(st.sampled_from(NAMES))
        if self.is_free(name) or self.states["ulabel", uid] == 1:
            self.add(b.changed("ulabel", uid, common=self.common(), name=name))
            self.names[uid] = name

    def describe(self) -> None:
        uid = self.one("ulabel")
        self.add(b.changed("ulabel", uid, common=self.common(), description=self.text()))

    def describe_artifact(self) -> None:
        uid = self.one("artifact")
        self.add(b.changed("artifact", uid, common=self.common(), description=self.text()))

    def name_collection(self) -> None:
        # A name that a collection of another family bears is taken from it.
        uid, name = self.one("collection"), self.draw(st.sampled_from(NAMES[:4]))
        self.add(b.changed("collection", uid, common=self.common(), name=name))

    def move_to_trash_or_back(self) -> None:
        (registry, uid), state = self.draw(st.sampled_from(list(self.states.items())))
        if state == 0:
            self.add(b.trashed(registry, uid, **self.common()))
            self.states[registry, uid] = 1
        elif state == 1 and (registry != "ulabel" or self.is_free(self.names[uid])):
            self.add(b.restored(registry, uid, **self.common()))
            self.states[registry, uid] = 0

    def withdraw(self) -> None:
        (registry, uid), state = self.draw(st.sampled_from(list(self.states.items())))
        if state < 2:
            self.add(b.withdrawn(registry, uid, **self.common()))
            self.states[registry, uid] = 2

    def register_artifact(self) -> None:
        content = self.draw(st.sampled_from(CONTENTS))
        uid = b.artifact_uid(content)
        if ("artifact", uid) in self.states:
            return
        common = self.common()
        self.add(
            b.artifact_registered(
                content,
                key=self.draw(st.sampled_from([None, *KEYS])),
                description=self.text(),
                revises=self.one_or_none("artifact"),
                n_files=self.draw(st.sampled_from([None, 2])),
                in_place=self.draw(st.booleans()),
                **common,
            )
        )
        self.states["artifact", uid] = 0
        if "run" in common:
            self.made_by.add((uid, common["run"]))

    def declare_artifact(self) -> None:
        name = self.draw(st.sampled_from(CONTENTS))
        uid = b.declared_uid(name)
        if ("artifact", uid) in self.states:
            return
        common = self.common()
        self.add(
            b.artifact_declared(
                name,
                key=self.draw(st.sampled_from([None, *KEYS])),
                description=self.text(),
                revises=self.one_or_none("artifact"),
                size=self.draw(st.sampled_from([None, 2])),
                where=self.draw(st.sampled_from([None, "s3://bucket/a"])),
                **common,
            )
        )
        self.states["artifact", uid] = 0
        if "run" in common:
            self.made_by.add((uid, common["run"]))

    def key(self) -> None:
        uid, key = self.one("artifact"), self.draw(st.sampled_from(KEYS))
        self.add(b.artifact_keyed(uid, key, **self.common()))

    def relocate(self) -> None:
        place = self.draw(st.sampled_from(["moved/a", ".metaledger/b"]))
        in_place = self.draw(st.booleans())
        uid = self.one("artifact")
        self.add(b.artifact_relocated(uid, place, in_place=in_place, **self.common()))

    def reproduce(self) -> None:
        uid, common = self.one("artifact"), self.common()
        if "run" in common and (uid, common["run"]) not in self.made_by:
            self.add(b.artifact_reproduced(uid, **common))
            self.made_by.add((uid, common["run"]))

    def create_collection(self) -> None:
        name = self.draw(st.sampled_from(NAMES[:4]))
        uid = b.collection_uid(name)
        if ("collection", uid) not in self.states:
            members = self.draw(st.permutations(self.of("artifact")))
            self.add(
                b.collection_created(
                    name,
                    members[: self.draw(st.integers(0, 3))],
                    revises=self.one_or_none("collection"),
                    is_ordered=self.draw(st.booleans()),
                    **self.common(),
                )
            )
            self.states["collection", uid] = 0

    def link(self) -> None:
        registry = "collection" if self.of("collection") and self.draw(st.booleans()) else None
        registry = registry or "artifact"
        link = (registry, self.one(registry), "labels", self.one("ulabel"))
        if link in self.links:
            self.add(b.link_removed(*link, **self.common()))
            self.links.remove(link)
        else:
            self.add(b.link_added(*link, **self.common()))
            self.links.add(link)

    def retract(self) -> None:
        uid = self.one("artifact")
        self.add(b.retracted("artifact", uid, self.text() or "no reason", **self.common()))
        self.retracted.add(uid)

    def add_alias(self) -> None:
        registry, uid = self.draw(
            st.sampled_from(sorted(it for it, state in self.states.items() if state < 2))
        )
        self.n_aliases += 1
        alias = f"{self.draw(st.sampled_from(['lamindb', 'x']))}:{self.n_aliases}"
        self.add(b.alias_added(registry, uid, alias, **self.common()))

    def lift_retraction(self) -> None:
        if self.retracted:
            uid = self.draw(st.sampled_from(sorted(self.retracted)))
            if self.states["artifact", uid] < 2:
                self.add(b.retraction_lifted("artifact", uid, **self.common()))
                self.retracted.remove(uid)

    def merge(self) -> None:
        live = [uid for uid in self.of("ulabel") if self.states["ulabel", uid] == 0]
        if len(live) < 2:
            return
        uid, into = self.draw(st.permutations(live))[:2]
        led = [link for link in sorted(self.links) if link[3] == uid]
        there = {link[:3] for link in self.links if link[3] == into}
        moved = [_held(link) for link in led if link[:3] not in there]
        doubled = [_held(link) for link in led if link[:3] in there]
        self.add(b.merged(uid, into, moved=tuple(moved), doubled=tuple(doubled), **self.common()))
        self.links -= set(led)
        self.links |= {(*link[:3], into) for link in led}
        self.states["ulabel", uid] = 2
        self.mergers[uid] = (into, moved, doubled)

    def undo_merge(self) -> None:
        if not self.mergers:
            return
        uid = self.draw(st.sampled_from(sorted(self.mergers)))
        into, moved, doubled = self.mergers[uid]
        if into in self.mergers or not self.is_free(self.names[uid]):
            return
        there = {_held(link): link for link in self.links if link[3] == into}
        back = [link for link in moved + doubled if link in there]
        ended = [link for link in moved if link in there]
        self.add(b.merge_undone(uid, into, back=tuple(back), ended=tuple(ended), **self.common()))
        self.links -= {there[link] for link in ended}
        self.links |= {(*there[link][:3], uid) for link in back}
        self.states["ulabel", uid] = 0
        del self.mergers[uid]

    def register_transform(self) -> None:
        name = self.draw(st.sampled_from(NAMES[:3]))
        uid = b.transform_uid(name)
        if ("transform", uid) not in self.states:
            self.add(
                b.transform_registered(
                    name,
                    key=self.draw(st.sampled_from([None, *KEYS])),
                    version=self.draw(st.sampled_from([None, "1", "2"])),
                    revises=self.one_or_none("transform"),
                    **self.common(),
                )
            )
            self.states["transform", uid] = 0

    def start_run(self) -> None:
        n = sum(registry == "run" for registry, _ in self.states) + 1
        if n <= len(_UIDS["run"]):
            self.add(
                b.run_started(
                    n,
                    transform=self.one_or_none("transform") or "gone",
                    name=self.draw(st.sampled_from([None, *NAMES])),
                    params=canonical_params(self.draw(parameters()))["params"],
                    task=self.draw(st.sampled_from([{}, {"RANK": "0"}, {"RANK": "1"}])),
                    git_is_dirty=self.draw(st.sampled_from([None, True, False])),
                    forked_from=self.one_or_none("run"),
                    initiated_by=self.one_or_none("run"),
                    token=self.draw(st.sampled_from([None, "one", "other"])),
                    **self.common(in_run=False),
                )
            )
            self.states["run", b.run_uid(n)] = 0

    def finish(self) -> None:
        status = self.draw(st.sampled_from(["finished", "ended", "failed"]))
        self.add(b.run_finished(self.one("run"), status, **self.common()))

    def resume(self) -> None:
        token = self.draw(st.sampled_from([None, "one", "other"]))
        self.add(b.run_resumed(self.one("run"), len(self.events), token=token, **self.common()))

    def abandon(self) -> None:
        self.add(b.run_abandoned(self.one("run"), self.one("run"), **self.common()))

    def read(self) -> None:
        run, artifact = self.one("run"), self.one("artifact")
        if (run, artifact) not in self.inputs:
            self.add(b.input_recorded(run, artifact, **self.common()))
            self.inputs.add((run, artifact))

    def record_blob(self) -> None:
        self.add(b.blob_recorded(str(len(self.events)), **self.common()))


def _held(link: tuple[str, str, str, str]) -> tuple[str, str]:
    registry, holder, field, _ = link
    return f"{registry}.{field}", holder


def parameters() -> st.SearchStrategy[dict[str, Any]]:
    """Return parameters of a run: often none, or few."""
    names = st.sampled_from([place[0] for place in INNER_PLACES])
    # Not a number equals nothing, itself included, so that no two states with it could be compared.
    values = st.sampled_from([it for it in INNER if it == it])  # noqa: PLR0124
    return st.dictionaries(names, values, max_size=3)


@st.composite
def paths(draw: st.DrawFn, registry: str, *, max_depth: int = 2) -> tuple[tuple[str, ...], Any]:
    """Return paths with what is at their end: a registry, and its `FieldSpec` or `RelationSpec`."""
    spec, path = REGISTRIES[registry], []
    for _ in range(draw(st.integers(0, max_depth))):
        relation = draw(st.sampled_from(spec.relations))
        path.append(relation.name)
        spec = REGISTRIES[relation.target]
    names = [it.name for it in spec.relations] + fields_of(spec.name)
    # A key of an artifact and the virtual fields have rules of their own: ask for them often.
    special = [it for it in ("key", "is_latest", "is_trashed", "name") if spec.field(it)]
    last = draw(st.sampled_from(special + names))
    return (*path, last), (spec.name, spec.require(last))


@st.composite
def tests(draw: st.DrawFn, registry: str, known: Known) -> Test:
    """Return sound comparisons of whatever can be reached from a registry."""
    path, (end, found) = draw(paths(registry))
    if isinstance(found, FieldSpec) and found.is_looked_into and draw(st.booleans()):
        return draw(inner_tests(path))
    is_text = isinstance(found, RelationSpec) or found.kind in {"text", "json"}
    of_any = ["exact", "exact", "in", "gt", "gte", "lt", "lte", "range", "isnull"]
    operator: Any = draw(st.sampled_from(OPERATORS if is_text else of_any))
    if operator == "isnull":
        return Test(path, operator, draw(st.booleans()))
    is_part = "contains" in operator or "with" in operator
    one = values_of(end, found, known, is_part=is_part)
    if operator == "in":
        return Test(path, operator, tuple(draw(st.lists(one, max_size=20))))
    if operator == "range":
        return Test(path, operator, (draw(one), draw(one)))
    return Test(path, operator, draw(one))


@st.composite
def inner_tests(draw: st.DrawFn, path: tuple[str, ...]) -> Test:
    """Return sound comparisons of values inside the field at the end of a path."""
    path += draw(st.sampled_from(INNER_PLACES))
    operator: Any = draw(st.sampled_from(OPERATORS))
    values = [plain_value(it, "value") for it in INNER]
    ordered = [it for it in values if comparable_kind(it) in {"number", "text", "boolean"}]
    match operator:
        case "isnull":
            return Test(path, operator, draw(st.booleans()))
        case "in":
            return Test(path, operator, tuple(draw(st.lists(st.sampled_from(values), max_size=5))))
        case "exact":
            return Test(path, operator, draw(st.sampled_from(values)))
        case "gt" | "gte" | "lt" | "lte":
            return Test(path, operator, draw(st.sampled_from([None, *ordered])))
        case "range":
            low = draw(st.sampled_from(ordered))
            like = [it for it in ordered if comparable_kind(it) == comparable_kind(low)]
            return Test(path, operator, (low, draw(st.sampled_from([None, *like]))))
        case _:
            return Test(path, operator, draw(st.sampled_from((*PARTS, "a", "A", None))))


def comparable_kind(value: Any) -> str:
    """Return the kind of a value inside a field; "" for none."""
    return "" if value is None else comparable(value).kind


def values_of(
    registry: str, found: FieldSpec | RelationSpec, known: Known, *, is_part: bool = False
) -> st.SearchStrategy[Any]:
    """Return values to compare with: met in the history, mostly; else others, or none."""
    pool: tuple[Any, ...]
    if isinstance(found, RelationSpec):
        there, pool = known.get((found.target, "uid")), _UIDS[found.target]
    else:
        there = known.get((registry, found.name))
        pools: dict[str, tuple[Any, ...]] = {
            "integer": NUMBERS,
            "time": TIMES,
            "boolean": (True, False),
        }
        pool = pools.get(found.kind) or _PLAIN_VALUES.get(found.name, (*TEXTS[1:], "{}"))
    near = [st.sampled_from(there)] * 4 if there else []
    if is_part:
        near += [st.sampled_from(PARTS)] * 2
        if there:
            near.append(st.builds(_part, st.sampled_from(there), st.integers(-3, 3)))
    return st.one_of(*near, st.sampled_from(pool), st.none())


def _part(text: str, place: int) -> str:
    return text[place:] if place < 0 else text[:place]


@st.composite
def wheres(draw: st.DrawFn, registry: str, known: Known, *, depth: int = 2) -> Where:
    """Return conditions on records of a registry."""
    kind = draw(st.sampled_from(["test"] * 3 + ["not", "and", "or"])) if depth else "test"
    inner = wheres(registry, known, depth=depth - 1)
    match kind:
        case "test":
            return draw(tests(registry, known))
        case "not":
            return Not(draw(inner))
        case _:
            few = draw(st.sampled_from([2, 2, 3, 1, 0]))
            items = tuple(draw(st.lists(inner, min_size=few, max_size=few)))
            return And(items) if kind == "and" else Or(items)


def fields_of(registry: str) -> list[str]:
    """Return the names of a registry's own and common fields, virtual ones included."""
    spec = REGISTRIES[registry]
    common = ["uid", "created_at", "created_by", "updated_at", "is_trashed"]
    return [it.name for it in spec.fields] + common


def readable_names(registry: str) -> list[str]:
    """Return what one can order by: fields, and relations to one record."""
    to_one = [it.name for it in REGISTRIES[registry].relations if not it.is_many]
    return fields_of(registry) + to_one


@st.composite
def selects(draw: st.DrawFn, *, head: int = 0, known: Known | None = None) -> Select:
    """Return questions to any registry, as of now or of a position up to just after `head`.

    Args:
        draw: Given by hypothesis.
        head: Length of the history asked about.
        known: Its `known_values`.
    """
    registry = draw(st.sampled_from(["artifact", "artifact", "ulabel", *sorted(REGISTRIES)]))
    keys = st.builds(Order, st.sampled_from(readable_names(registry)), st.booleans())
    return Select(
        registry=registry,
        where=draw(wheres(registry, known or {})) if draw(st.integers(0, 9)) else EVERYTHING,
        order=tuple(draw(st.lists(keys, max_size=2))),
        reverse=draw(st.booleans()),
        offset=draw(st.sampled_from([0, 0, 0, 1, 3])),
        limit=draw(st.sampled_from([None, None, None, 0, 2])),
        at=draw(st.one_of(st.none(), st.integers(head // 2, head), st.integers(0, head + 1))),
        trash=draw(st.sampled_from(["with", "without", "with", "only"])),
    )


@st.composite
def finds(draw: st.DrawFn, *, head: int = 0) -> tuple[str, dict[str, Any]]:
    """Return a table and the arguments of a look-up in it."""
    table = draw(st.sampled_from(sorted(TABLES)))
    values = {
        "uid": tuple(uid for uids in _UIDS.values() for uid in uids),
        "name": (*NAMES, None),
        "key": (*KEYS, None),
        "description": TEXTS,
        "run": (*_UIDS["run"], None),
        "source": _UIDS["artifact"],
        "target": _UIDS["ulabel"] + _UIDS["run"],
        "field": ("artifact.labels", "artifact.runs", "run.inputs", "collection.artifacts"),
        "state": (0, 1, 2),
        "revises": (*_UIDS["artifact"], None),
    }
    names = [it.name for it in TABLES[table].columns if it.name in values]
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
    equals = {name: draw(st.sampled_from(values[name])) for name in chosen}
    at = draw(st.one_of(st.none(), st.integers(0, head + 1)))
    return table, {"at": at, "ever": draw(st.booleans()), **equals}
