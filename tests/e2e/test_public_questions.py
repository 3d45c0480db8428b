"""What can be asked through the public door, and what asking costs.

Every claim goes through `import ledger as ln`; a test looks behind it only to count statements.
"""

# ruff: noqa: PLW0108 (the whole chain is the question, its first step included)

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger as ln
from projections.sql.models import SqlModels
from tests.support.door import artifact, label, names

pytestmark = pytest.mark.usefixtures("here")


# --- questions ------------------------------------------------------------------------------------


@pytest.fixture
def zoo(here: Path) -> Path:
    """Two runs of two transforms, with labels, artifacts of several sizes and a collection."""
    for name in ("ant", "bee", "Cat", "dog 10%", "Éléphant", "fox_1"):
        label(name, description=f"about {name}" if name != "bee" else None)
    ln.track(key="make.py", name="Make", params={"n": 1}, new_run=True)
    small, big = artifact("s.csv", "1", key="raw/s.csv"), artifact("b.txt", "1" * 1000)
    small.labels.add(ln.ULabel.get(name="ant"), ln.ULabel.get(name="bee"))
    big.labels.add(ln.ULabel.get(name="Cat"))
    ln.finish()
    ln.track(key="use.py", name="Use", new_run=True)
    small.cache()
    middle = artifact("m.csv", "1" * 100, key="raw/m.csv", description="made of s")
    ln.Collection([small, middle], name="Two").save()
    ln.finish()
    return here


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"name": "ant"}, ["ant"]),
        ({"name__exact": "ant"}, ["ant"]),
        ({"name__iexact": "cAT"}, ["Cat"]),
        ({"name__iexact": "éLÉPHANT"}, ["Éléphant"]),
        ({"name__contains": "o"}, ["dog 10%", "fox_1"]),
        ({"name__contains": "C"}, ["Cat"]),
        ({"name__icontains": "c"}, ["Cat"]),
        ({"name__contains": "%"}, ["dog 10%"]),
        ({"name__contains": "_"}, ["fox_1"]),
        ({"name__startswith": "d"}, ["dog 10%"]),
        ({"name__startswith": "c"}, []),
        ({"name__istartswith": "c"}, ["Cat"]),
        ({"name__istartswith": "É"}, ["Éléphant"]),
        ({"name__endswith": "t"}, ["ant", "Cat", "Éléphant"]),
        ({"name__iendswith": "T"}, ["ant", "Cat", "Éléphant"]),
        ({"name__in": ["ant", "bee", "nobody"]}, ["ant", "bee"]),
        ({"name__in": []}, []),
        ({"name__gt": "bee"}, ["dog 10%", "Éléphant", "fox_1"]),
        ({"name__gte": "bee"}, ["bee", "dog 10%", "Éléphant", "fox_1"]),
        ({"name__lt": "ant"}, ["Cat"]),
        ({"name__lte": "ant"}, ["ant", "Cat"]),
        ({"name__range": ("a", "c")}, ["ant", "bee"]),
        ({"description__isnull": True}, ["bee"]),
        ({"description__isnull": False, "name__startswith": "a"}, ["ant"]),
        ({"artifacts__key": "raw/s.csv"}, ["ant", "bee"]),
        ({"artifacts__size__gt": 500}, ["Cat"]),
        ({"artifacts__run__transform__name": "Make"}, ["ant", "bee", "Cat"]),
        ({"artifacts__isnull": True}, ["dog 10%", "Éléphant", "fox_1"]),
        ({"artifacts__collections__name": "Two"}, ["ant", "bee"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_label_lookups(lookups, expected):
    assert names(ln.ULabel.filter(**lookups)) == expected
    assert ln.ULabel.filter(**lookups).count() == len(expected)
    assert ln.ULabel.filter(**lookups).exists() is bool(expected)
    others = {label.name for label in ln.ULabel.filter()} - set(expected)
    assert set(names(ln.ULabel.filter().exclude(**lookups))) == others


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"labels__name": "ant"}, ["s.csv"]),
        ({"labels__name__in": ["ant", "bee", "Cat"]}, ["s.csv", "b.txt"]),
        ({"run__transform__key": "make.py"}, ["s.csv", "b.txt"]),
        ({"run__transform__name__startswith": "U"}, ["m.csv"]),
        ({"run__status": "finished"}, ["s.csv", "b.txt", "m.csv"]),
        ({"runs__status": "failed"}, []),
        ({"input_of__transform__key": "use.py"}, ["s.csv"]),
        ({"collections__name": "Two"}, ["s.csv", "m.csv"]),
        ({"size": 100}, ["m.csv"]),
        ({"size__range": (1, 100)}, ["s.csv", "m.csv"]),
        ({"size__in": [1, 1000]}, ["s.csv", "b.txt"]),
        ({"suffix": ".csv"}, ["s.csv", "m.csv"]),
        ({"key__startswith": "raw/"}, ["s.csv", "m.csv"]),
        ({"key__isnull": True}, ["b.txt"]),
        ({"is_latest": True}, ["s.csv", "b.txt", "m.csv"]),
        ({"is_latest": False}, []),
        ({"n_files__isnull": True}, ["s.csv", "b.txt", "m.csv"]),
        ({"labels__isnull": True}, ["m.csv"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_artifact_lookups(lookups, expected):
    sizes = {"s.csv": 1, "m.csv": 100, "b.txt": 1000}
    found = [record.size for record in ln.Artifact.filter(**lookups)]
    assert found == [sizes[name] for name in expected]
    rest = {1, 100, 1000} - set(found)
    assert {record.size for record in ln.Artifact.filter().exclude(**lookups)} == rest


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"transform__key": "make.py"}, ["Make"]),
        ({"inputs__key": "raw/s.csv"}, ["Use"]),
        ({"outputs__key": "raw/s.csv"}, ["Make"]),
        ({"outputs__size__gte": 100}, ["Make", "Use"]),
        ({"status": "finished"}, ["Make", "Use"]),
        ({"collections__name": "Two"}, ["Use"]),
        ({"forked_from__isnull": True}, ["Make", "Use"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_run_lookups(lookups, expected):
    assert [run.transform.name for run in ln.Run.filter(**lookups)] == expected


@pytest.mark.usefixtures("zoo")
def test_lookups_take_records_and_their_uids():
    ant, run = ln.ULabel.get(name="ant"), ln.Run.filter().first()
    assert ln.Artifact.filter(labels=ant).count() == 1
    assert ln.Artifact.filter(labels=ant.uid).count() == 1
    assert ln.Artifact.filter(labels__in=[ant, ln.ULabel.get(name="Cat")]).count() == 2
    assert ln.Artifact.filter(run=run).count() == 2
    assert ln.Artifact.filter(run__uid=run.uid).count() == 2


@pytest.mark.usefixtures("zoo")
def test_times_are_compared_with_aware_datetimes():
    ant = ln.ULabel.get(name="ant")
    assert ant.created_at.tzinfo is not None
    hour = dt.timedelta(hours=1)
    zone = dt.timezone(dt.timedelta(hours=5))
    assert ln.ULabel.filter(created_at__gt=ant.created_at - hour).count() == 6
    assert ln.ULabel.filter(created_at__gt=(ant.created_at + hour).astimezone(zone)).count() == 0
    assert ant in ln.ULabel.filter(created_at=ant.created_at.astimezone(zone))


@pytest.mark.usefixtures("zoo")
def test_conditions_join():
    q = ln.Q
    assert names(ln.ULabel.filter(q(name="ant") | q(name="bee"))) == ["ant", "bee"]
    assert names(ln.ULabel.filter(q(name__startswith="a") & q(name__endswith="t"))) == ["ant"]
    assert names(ln.ULabel.filter(~q(name__in=["ant", "bee"]), name__lt="c")) == ["Cat"]
    assert names(ln.ULabel.filter(q(q(name="ant") | q(name="bee"), name__contains="n"))) == ["ant"]
    assert names(ln.ULabel.filter(~(q(name="ant") | q(name__gt="b")))) == ["Cat"]
    everything = ln.ULabel.filter().count()
    assert ln.ULabel.filter(q()).count() == everything


@pytest.mark.usefixtures("zoo")
def test_exclude_of_a_missing_value_keeps_it():
    assert "bee" in names(ln.ULabel.filter().exclude(description="about ant"))


@pytest.mark.usefixtures("zoo")
def test_order_slices_and_ends():
    query = ln.ULabel.filter().order_by("name")
    ordered = ["Cat", "ant", "bee", "dog 10%", "fox_1", "Éléphant"]
    assert names(query) == ordered
    assert names(ln.ULabel.filter().order_by("-name")) == ordered[::-1]
    assert names(query.reverse()) == ordered[::-1]
    assert names(query.reverse().reverse()) == ordered
    assert names(query[1:3]) == ordered[1:3]
    assert names(query[4:]) == ordered[4:]
    assert names(query[:2]) == ordered[:2]
    assert names(query[1:5][1:3]) == ordered[2:4]
    assert names(query[1:5][3:9]) == ordered[4:5]
    assert names(query[3:1]) == []
    assert names(query[9:]) == []
    assert query[2].name == "bee"
    assert query[-1].name == "Éléphant"
    assert query[1:5].count() == len(query[1:5]) == 4
    assert query[4:9].count() == 2
    assert query[9:].count() == 0
    assert query[1:3].last().name == "bee"
    assert query.first().name == "Cat"
    assert query.last().name == "Éléphant"
    assert not query[:0].exists()
    with pytest.raises(IndexError, match="6 records"):
        query[6]


@pytest.mark.usefixtures("zoo")
def test_records_of_a_relation_have_places():
    labels = ln.Artifact.get(key="raw/s.csv").labels
    assert [labels[0], labels[-1]] == labels.all() == labels[:5]
    with pytest.raises(IndexError):
        labels[2]


@pytest.mark.usefixtures("zoo")
def test_the_default_order_is_that_of_creation():
    assert names(ln.ULabel.filter())[:2] == ["ant", "bee"]
    ant = ln.ULabel.get(name="ant")
    ant.description = "changed last"
    ant.save()
    assert ln.ULabel.filter().first() == ant


@pytest.mark.usefixtures("zoo")
def test_missing_values_come_first():
    assert ln.ULabel.filter().order_by("description").first().name == "bee"
    assert ln.ULabel.filter().order_by("-description").last().name == "bee"


@pytest.mark.usefixtures("zoo")
def test_one_is_one():
    assert ln.ULabel.filter(name="ant").one().name == "ant"
    assert ln.ULabel.filter(name="nobody").one_or_none() is None
    assert ln.ULabel.filter(name="nobody").first() is None
    assert ln.ULabel.filter(name="nobody").last() is None
    with pytest.raises(ln.errors.NotFoundError, match="found none"):
        ln.ULabel.filter(name="nobody").one()
    with pytest.raises(ln.errors.MultipleResultsError, match="found 6"):
        ln.ULabel.filter().one_or_none()


@pytest.mark.usefixtures("zoo")
def test_a_query_is_asked_anew_each_time_and_never_changes():
    query = ln.ULabel.filter(name__startswith="g")
    narrowed = query.filter(name__endswith="u")
    assert list(query) == []
    label("gnu")
    label("goat")
    assert names(query) == ["gnu", "goat"]
    assert names(narrowed) == ["gnu"]


@pytest.mark.usefixtures("zoo")
def test_distinct_values():
    assert ln.Artifact.filter().distinct("suffix") == [".csv", ".txt"]
    assert ln.Artifact.filter(size__gt=500).distinct("suffix") == [".txt"]
    assert ln.ULabel.filter().distinct().count() == 6


@pytest.mark.usefixtures("zoo")
def test_a_record_that_a_join_reaches_twice_comes_once():
    assert ln.Artifact.filter(labels__name__in=["ant", "bee"]).count() == 1


@pytest.mark.usefixtures("zoo")
def test_results_become_lists_and_tables():
    query = ln.ULabel.filter().order_by("name")[:2]
    assert names(query.to_list()) == ["Cat", "ant"]
    assert query.to_list("name") == ["Cat", "ant"]
    table = query.to_arrow()
    assert table.column("name").to_pylist() == ["Cat", "ant"]
    assert table.column("created_at")[0].as_py().tzinfo is not None
    frame = query.df()
    assert list(frame["name"]) == ["Cat", "ant"]
    assert len(ln.ULabel.df()) == 6
    assert len(ln.ULabel.df(limit=1)) == 1
    assert ln.ULabel.filter(name="nobody").to_arrow().schema == table.schema
    assert list(ln.ULabel.filter(name="nobody").df().columns) == list(frame.columns)
    assert len(ln.Run.filter().df()) == len(ln.Transform.filter().df()) == 2
    assert len(ln.Artifact.filter().df()) == 3
    assert len(ln.Collection.filter().df()) == 1


@pytest.mark.usefixtures("zoo")
def test_get_by_uid_beginning_and_field():
    ant = ln.ULabel.get(name="ant")
    assert ln.ULabel.get(ant.uid) == ant
    assert ln.ULabel.get(ant.uid[:8]) == ant
    assert ln.ULabel.get(uid=ant.uid) == ant
    with pytest.raises(ln.errors.NotFoundError, match="nobody"):
        ln.ULabel.get(name="nobody")
    with pytest.raises(ln.errors.NotFoundError, match=ant.uid):
        ln.ULabel.get(ant.uid[:6] + "______")
    with pytest.raises(KeyError):
        ln.ULabel.get("______")


@pytest.mark.usefixtures("zoo")
def test_an_ambiguous_beginning_names_those_that_it_means():
    for number in range(100):
        label(f"{number} crowd")
    firsts = Counter(uid[0] for uid in ln.ULabel.filter().to_list("uid"))
    first, _ = firsts.most_common(1)[0]
    begin_so = ln.ULabel.filter(uid__startswith=first).to_list("uid")
    with pytest.raises(ln.errors.MultipleResultsError, match=begin_so[0]):
        ln.ULabel.get(first)


@pytest.mark.usefixtures("zoo")
def test_lookup_completes_names():
    lookup = ln.ULabel.lookup()
    assert lookup.ant == ln.ULabel.get(name="ant")
    assert "dog_10" in dir(lookup)
    assert lookup.éléphant.name == "Éléphant"
    with pytest.raises(AttributeError, match="nobody"):
        lookup.nobody  # noqa: B018 (the access is the test)
    assert ln.Artifact.lookup().raw_s_csv.size == 1


def test_lookup_hides_no_record_behind_another():
    for name in ("a b", "a-b", "class", "1", "日本", "½"):
        label(name)
    lookup = ln.ULabel.lookup()
    found = [getattr(lookup, name) for name in dir(lookup)]
    assert sorted(names(found)) == sorted(["a b", "a-b", "class", "1", "日本", "½"])
    assert all(name.isidentifier() for name in dir(lookup))
    assert lookup.class_.name == "class"


def test_search_finds_typos_words_and_beginnings():
    for name in ("Flow cytometry", "Flow cytometry batch 2", "Microscopy", "Mass spectrometry"):
        label(name)
    assert ln.ULabel.search("flow cytometry").first().name == "Flow cytometry"
    assert ln.ULabel.search("flow cytmetry").first().name == "Flow cytometry"
    assert ln.ULabel.search("micro").first().name == "Microscopy"
    assert ln.ULabel.search("batch flow").first().name == "Flow cytometry batch 2"
    assert ln.ULabel.search("zebrafish").count() == 0
    assert ln.ULabel.search("").count() == 0
    assert ln.ULabel.search("flow", limit=1).count() == 1


def test_a_search_for_more_than_any_field_holds_is_refused_like_a_save():
    label("x" * 255, description="d" * 4096)
    for text in ("n" * 4097, "n" * 150_000, "é " * 75_000):
        for ask in (ln.ULabel.search, ln.ULabel.filter().search, ln.Run.search):
            with pytest.raises(ln.errors.InvalidValueError, match=r"at most 4,096 characters"):
                ask(text)
    assert ln.ULabel.search("d" * 4096).one().name == "x" * 255


def test_search_looks_into_descriptions_and_keys():
    label("x", description="the reference sample")
    artifact("a.txt", key="plates/p7/readout.txt")
    assert ln.ULabel.search("reference").one().name == "x"
    assert ln.Artifact.search("readout").one().key == "plates/p7/readout.txt"


@pytest.mark.parametrize(
    "typed", ["Imune", "stuby", "stduy", "imune stuby", "cohort of Mylan", "IMUNE", "stuby 2030"]
)
def test_search_forgives_a_typo_in_one_word_of_several(typed):
    found = label("Immune study", description="the 2030 cohort of Milan")
    label("Microscopy")
    assert ln.ULabel.search(typed).all() == [found]


@pytest.mark.usefixtures("zoo")
def test_search_forgives_a_typo_in_keys_names_and_descriptions_of_any_registry():
    text = artifact("a.txt", key="plates/p7/readout.txt")
    assert ln.Artifact.search("raedout").all() == [text]
    assert ln.Artifact.search("plates/p7/redout.txt").all() == [text]
    assert ln.Artifact.search("mude of").one().description == "made of s"
    collection = ln.Collection([text], name="Readable plates").save()
    assert ln.Collection.search("redable").all() == [collection]
    ln.track(key="pipelines/normalise.py", new_run=True)
    ln.finish()
    assert ln.Transform.search("normlise").one().key == "pipelines/normalise.py"


def test_search_forgives_accents_and_typos_at_once():
    found = label("Étude immunologique", description="naïve cells")
    assert ln.ULabel.search("imunologique").all() == [found]
    assert ln.ULabel.search("naeive").all() == [found]


def test_search_does_not_guess_where_every_word_is_found():
    found = label("Immune study")
    label("Immune studio")
    assert ln.ULabel.search("study").all() == [found]


def test_search_does_not_guess_short_words_and_numbers():
    label("Cat 2041")
    assert ln.ULabel.search("cut").count() == 0
    assert ln.ULabel.search("2042").count() == 0


def test_search_puts_names_before_descriptions():
    label("x", description="liver")
    named = label("a sample of the liver")
    described = label("y", description="liver plate")
    keyed = artifact("k.txt", key="raw/liver-7.txt")
    said = artifact("d.txt", description="liver")
    assert ln.ULabel.search("liver").first() == named
    assert ln.Artifact.search("liver").all() == [keyed, said]
    assert ln.ULabel.search("lvier").first() == named
    assert described in ln.ULabel.search("lvier").all()


def test_search_forgets_words_that_no_record_has_now():
    with contextlib.suppress(ZeroDivisionError), ln.batch():
        label("Immune study")
        assert ln.ULabel.search("imune").count() == 1
        raise ZeroDivisionError
    assert ln.ULabel.search("imune").count() == 0
    one, other = label("Immunity", description="of mice"), label("Immunity of men")
    assert ln.ULabel.search("imunity").count() == 2
    for record, left in ((one, 1), (other, 0)):
        record.name = f"Resilience {left}"
        record.save()
        assert ln.ULabel.search("imunity").count() == left
    assert ln.ULabel.search("resilince").count() == 2


def test_search_is_narrowed_by_its_query():
    label("sample one", description="keep")
    label("sample two")
    found = ln.ULabel.filter(description="keep").search("sample")
    assert names(found) == ["sample one"]


def test_search_finds_the_very_name_behind_a_crowd_of_matches():
    ln.settings.creation.search_names = False
    ln.save([ln.ULabel(name=f"a plate {number}") for number in range(600)])
    label("plate")
    assert ln.ULabel.search("plate").first().name == "plate"


def test_nothing_a_user_typed_is_markup():
    record = label("<script>alert(1)</script>", description="a & b")
    for text in (record._repr_html_(), ln.ULabel.filter()._repr_html_()):
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
    assert "a &amp; b" in record._repr_html_()
    marked = artifact("a.txt", key="<b>.txt")
    assert "<b>.txt" not in marked._repr_html_()
    assert ln.ULabel(name="<i>", description="x")._repr_html_().count("<i>") == 0


def test_long_results_are_cut_when_shown():
    ln.settings.creation.search_names = False
    ln.save([ln.ULabel(name=f"n {number}") for number in range(25)])
    assert "and 15 more" in repr(ln.ULabel.filter())
    assert "and 15 more" in ln.ULabel.filter()._repr_html_()
    assert "25 records" in ln.ULabel.filter()._repr_html_()
    assert repr(ln.ULabel.filter(name="nobody")) == "<QuerySet []>"


# --- what questions cost --------------------------------------------------------------------------


class Counting:
    """Carries out the statements of the read models, and remembers them."""

    def __init__(self, executor, seen: list[str]) -> None:
        self._executor = executor
        self._seen = seen

    def execute(self, sql, *parameters):
        self._seen.append(sql)
        return self._executor.execute(sql, *parameters)

    def __getattr__(self, name):
        return getattr(self._executor, name)


@contextlib.contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the statements that questions to the read models run."""
    seen: list[str] = []
    bind = SqlModels.__init__

    def bound(self, executor, *rest):
        bind(self, Counting(executor, seen), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(SqlModels, "__init__", bound)
        yield seen


QUESTIONS = {
    "all": lambda: ln.ULabel.filter().all(),
    "count": lambda: ln.ULabel.filter().count(),
    "exists": lambda: ln.ULabel.filter().exists(),
    "first": lambda: ln.ULabel.filter().first(),
    "last": lambda: ln.ULabel.filter().last(),
    "get": lambda: ln.ULabel.get(name="n 0"),
    "to_arrow": lambda: ln.Artifact.filter().to_arrow(),
    "df": lambda: ln.Artifact.filter(labels__name__contains="n").df(),
    "html": lambda: ln.Artifact.filter()._repr_html_(),
    "repr": lambda: repr(ln.Artifact.filter()),
    "labels": lambda: ln.Artifact.filter().first().labels.all(),
    "artifacts": lambda: ln.ULabel.get(name="n 0").artifacts.all(),
    "members": lambda: ln.Collection.filter().last().artifacts.all(),
    "previous runs": lambda: ln.Artifact.filter().first().previous_runs.all(),
    "by key": lambda: ln.Artifact.get(key="k/0.txt"),
    "lookup": lambda: dir(ln.ULabel.lookup()),
    "search": lambda: ln.ULabel.search("n", limit=1_000),
    "distinct": lambda: ln.Artifact.filter().distinct("suffix"),
}


def test_questions_cost_the_same_number_of_statements_however_many_records(monkeypatch):
    ln.settings.creation.search_names = False
    ln.settings.verbosity = "error"
    counts: list[dict[str, int]] = []
    for until in (12, 60):
        with ln.batch():
            labels = [label(f"n {number}") for number in range(until)]
            made = [artifact(f"{number}.txt", key=f"k/{number}.txt") for number in range(until)]
            made[0].labels.add(*labels)
            for record in made:
                record.labels.add(labels[0])
            ln.Collection(made, name="all").save()
        for _ in range(1 + until // 12):
            ln.track(key="again.py", new_run=True)
            artifact("0.txt", key="k/0.txt")
            ln.finish()
        counts.append({})
        for name, question in QUESTIONS.items():
            question()  # what is looked up once a process is looked up here
            with statements(monkeypatch) as seen:
                question()
            counts[-1][name] = len(seen)
            assert seen, name
    assert counts[0] == counts[1]
    simple = ("all", "count", "exists", "first", "last", "get", "to_arrow", "df", "distinct")
    assert {name: counts[0][name] for name in simple} == dict.fromkeys(simple, 1)
