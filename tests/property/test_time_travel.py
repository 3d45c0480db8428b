"""Whatever happened, every look at the past equals what a ledger would say that ended there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.model.schema import REGISTRIES
from ledger.past.changes import _BOOKKEEPING, diff, history, states
from ledger.past.lineage import ancestor_uids, lineage
from ledger.past.lineage_walk import FIELDS
from ledger.past.readable_events import Which, happenings, newest_first
from ledger.places.source import Source
from tests.property.conftest import in_sqlite
from tests.property.strategies import histories, known_values, selects
from tests.support.past import Past

DIRECTIONS = ("ancestors", "descendants", "both")
ENDS = {
    "artifact.runs": ("artifact", "run"),
    "run.inputs": ("run", "artifact"),
    "collection.artifacts": ("collection", "artifact"),
}


def seen(found):
    """Everything a lineage tells, in a form that can be compared."""
    records = [*found.artifacts, *found.collections, *found.runs, *found.transforms]
    rows = [{k: v for k, v in it._row.items() if k != "to_position"} for it in records]
    return sorted(found.edges), found.uids, sorted(map(repr, rows))


def at(record, source):
    return type(record)._from_row(record._row, source)


def claim_lineage(events, data, empty) -> None:
    """Claim that a lineage as of every position is the one of a ledger that ended there."""
    now = Past(events)
    options = {
        "direction": data.draw(st.sampled_from(DIRECTIONS)),
        "depth": data.draw(st.sampled_from([None, None, 0, 1, 2])),
        "follow_revisions": data.draw(st.booleans()),
    }
    with empty() as models:
        database = Past(events, models)
        for position in range(len(events) + 1):
            then = Past(events[:position])
            for start in then.lineage_starts():
                expected = seen(lineage(start, **options))
                for past in (now, database):
                    view = at(start, Source(past, position))
                    assert seen(lineage(view, **options)) == expected


@settings(max_examples=settings().max_examples // 2)
@given(histories(max_events=40), st.data())
def test_lineage_as_of_every_position_equals_replaying_to_it(events, data):
    claim_lineage(events, data, in_sqlite)


@settings(max_examples=settings().max_examples // 5)
@given(histories(max_events=30), st.data())
def test_lineage_on_a_server_equals_replaying_to_every_position(in_postgres, events, data):
    claim_lineage(events, data, in_postgres)


def distances(past, start, direction, depth):
    """How many artifacts far everything is: the oracle, one step after the other.

    An artifact that is as far as `depth` is an end.
    """
    links = [link for field in FIELDS for link in past.models.find("link", field=field)]
    near = {start.uid: 0}
    if start.registry == "transform":
        near |= {row["uid"]: 0 for row in past.models.find("run", transform=start.uid)}
    for _ in links:
        before = dict(near)
        for link in links:
            ends = [
                (link[name], ENDS[link["field"]][i]) for i, name in ((0, "source"), (1, "target"))
            ]
            (here, here_is), (there, kind) = ends if direction == "ancestors" else ends[::-1]
            if here in near and not (depth == near[here] and here_is == "artifact"):
                far = near[here] + (kind == "artifact")
                if depth is not None and far > depth:
                    continue
                near[there] = min(far, near.get(there, far))
        if near == before:
            break
    return near


@given(histories(max_events=60), st.sampled_from(DIRECTIONS), st.sampled_from([None, 0, 1, 2, 3]))
def test_lineage_holds_what_is_so_many_artifacts_far(events, direction, depth):
    past = Past(events)
    ways = DIRECTIONS[:2] if direction == "both" else (direction,)
    for start in past.lineage_starts():
        expected = {start.uid}
        for way in ways:
            expected |= distances(past, start, way, depth).keys()
        found = lineage(start, direction=direction, depth=depth)
        assert found.uids == expected
        assert all({edge.source, edge.target} <= found.uids for edge in found.edges)
        if direction == "ancestors" and depth is None:
            assert expected <= ancestor_uids(start)


@given(histories(max_events=60), st.integers(0, 6))
def test_a_limit_never_bites_in_silence(events, limit):
    for start in Past(events).lineage_starts():
        whole, cut = lineage(start), lineage(start, limit=limit)
        n_links = sum(edge.kind not in {"revision", "transform"} for edge in whole.edges)
        assert cut.is_complete == (n_links <= limit)
        assert cut.uids <= whole.uids
        assert set(cut.edges) <= set(whole.edges)


@given(histories(max_events=60), st.data())
def test_paths_lead_along_edges_and_the_shortest_come_first(events, data):
    past = Past(events)
    starts = past.lineage_starts()
    if not starts:
        return
    found = lineage(data.draw(st.sampled_from(starts)), direction="both")
    a, b = (data.draw(st.sampled_from(sorted(found.uids))) for _ in "ab")
    paths = found.paths(a, b, limit=5)
    steps = {(edge.source, edge.target) for edge in found.edges}
    assert [len(path) for path in paths] == sorted(len(path) for path in paths)
    for path in paths:
        assert (path[0], path[-1]) == (a, b)
        assert set(pairwise(path)) <= steps
    assert len({tuple(path) for path in paths}) == len(paths)


def world(past, position):
    """All live records with all that is compared of them."""
    found = {}
    for registry in REGISTRIES:
        uids = [row["uid"] for row in past.models.find(registry, at=position)]
        for uid, state in states(past.models, registry, uids, at=position).items():
            found[registry, uid] = {name: value for name, value in state.items() if value != ()}
    return found


def applied(before, differences):
    after = {place: dict(state) for place, state in before.items()}
    for item in differences:
        place = (item.registry, item.uid)
        if item.change == "removed":
            assert {k: v for k, v in after.pop(place).items() if v is not None} == {
                name: old for name, (old, _) in item.changes.items() if old is not None
            }
            continue
        assert (place in after) == (item.change == "changed")
        state = after.setdefault(place, {})
        for name, (old, new) in item.changes.items():
            assert state.get(name) == old or not old
            state[name] = new
    return after


def without_missing(found):
    return {
        place: {name: value for name, value in state.items() if value not in (None, ())}
        for place, state in found.items()
    }


@given(histories(max_events=40), st.data())
def test_a_difference_applied_to_the_earlier_state_gives_the_later_one(empty, events, data):
    first = data.draw(st.integers(0, len(events)))
    second = data.draw(st.integers(first, len(events)))
    with empty() as models:
        for past in (Past(events), Past(events, models)):
            found = applied(world(past, first), diff(past, first, second))
            assert without_missing(found) == without_missing(world(past, second))


@given(histories(max_events=40))
def test_a_history_tells_every_value_that_a_record_has(events):
    past = Past(events)
    for registry in REGISTRIES:
        for record in past.records(registry):
            told = {}
            for entry in history(past, record._row):
                for name, (before, after) in entry.changes.items():
                    assert (told.get(name) or None) == (before or None)
                    told[name] = after
            merged = past.models.find("merger", into=record.uid)
            assert set(told.pop("merged", None) or ()) == {row["uid"] for row in merged}
            into = past.models.find("merger", uid=record.uid)
            assert told.pop("merged_into", None) == (into[0]["into"] if into else None)
            names = past.models.find("alias", uid=record.uid)
            assert set(told.pop("aliases", None) or ()) == {row["alias"] for row in names}
            state = states(past.models, registry, [record.uid], at=None).get(record.uid)
            if state is None:
                continue  # in the trash: hidden from comparisons
            shown = {name: value for name, value in state.items() if name not in _BOOKKEEPING}
            told = {name: _unordered(value) for name, value in told.items() if name != "state"}
            assert {k: v for k, v in told.items() if v not in (None, frozenset())} == {
                name: _unordered(value) for name, value in shown.items() if value is not None
            }


def _unordered(value):
    return frozenset(value) if isinstance(value, tuple) else value


@given(histories(max_events=40), st.data())
def test_a_view_stays_the_same_while_writers_append(events, data):
    position = data.draw(st.integers(0, len(events)))
    end = data.draw(st.integers(position, len(events)))
    question = data.draw(selects(head=position, known=known_values(events)))
    past = Past(events[:end])

    def answers():
        source = Source(past, position)
        starts = past.lineage_starts(at=position)
        lineages = [seen(lineage(at(start, source))) for start in starts]
        asked = type(question)(**{**_fields(question), "at": position})
        histories_told = [list(history(past, it._row, at=position)) for it in starts]
        return past.models.select(asked), lineages, histories_told, diff(past, 0, position).rows()

    before = answers()
    past.append(events[end:])
    assert answers() == before


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@given(histories(max_events=40), st.data())
def test_the_log_tells_the_same_forwards_and_backwards(events, data):
    past = Past(events)
    after = data.draw(st.integers(0, len(events)))
    which = Which(
        after=after,
        until=data.draw(st.one_of(st.none(), st.integers(after, len(events)))),
        registry=data.draw(st.sampled_from([None, *REGISTRIES])),
        actor=data.draw(st.sampled_from([None, "a", "b", "nobody"])),
    )
    found = list(happenings(past, which))
    assert list(newest_first(past, which)) == found[::-1]
    end = len(events) if which.until is None else which.until
    assert [it.position for it in found] == [
        position
        for position in range(after + 1, end + 1)
        if which.actor in (None, events[position - 1].event.actor)
        and which.registry in (None, next(happenings(past, Which(after=position - 1))).registry)
    ]
