"""The page without a browser: what it answers, whom it lets in, and that it only reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.web.guard import HEADERS
from tests.support.page import Visitor, served

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def story(here: Path) -> dict[str, str]:  # noqa: ARG001 (a ledger to write into)
    """A small ledger: two versions of a result, labels, a retraction, a tag, hostile names."""
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    evil = ln.ULabel(name=EVIL).save()
    found = {"label": evil.uid}
    for threshold in (1, 2):
        Path("in.csv").write_text("a,b\n1,2\n")
        Path("out.csv").write_text(f"n\n{threshold}\n")
        ln.track(name="count", key="count.py", params={"threshold": threshold})
        ln.Artifact("in.csv", key="raw/in.csv").save().cache()
        made = ln.Artifact("out.csv", key="counts/out.csv").save()
        made.labels.add(evil)
        found[f"out{threshold}"] = made.uid
        found[f"run{threshold}"] = str(made.run.uid)
        ln.finish()
        if threshold == 1:
            ln.tag("paper")
    Path("x.csv").write_text("x\n")
    strange = ln.Artifact("x.csv", key="explore/\u202egnp.exe.csv").save()
    strange.retract("pipetting <b>error</b>")
    found["strange"] = strange.uid
    return found


@pytest.fixture
def page(story: dict[str, str]) -> Iterator[Visitor]:  # noqa: ARG001 (what is looked at)
    with served(instance.current().place) as visitor:
        yield visitor


def pages(story: dict[str, str]) -> list[str]:
    """Every kind of URL there is."""
    uids = list(story.values())
    api = ["overview", "moments", "point?at=paper", "tags", "search?q=cuont", "log?limit=3"]
    api += [f"list/{word}" for word in ("artifacts", "runs", "labels", "transforms", "collections")]
    api += ["list/artifacts?suffix=.csv&sort=-size&limit=1", "list/nothing", "point?at=never"]
    for uid in uids:
        api += [f"records/{uid}", f"records/{uid}/history"]
    timed = [f"{path}{'&' if '?' in path else '?'}as_of=paper" for path in api]
    people = ["/", "/search?q=x", "/log", "/artifacts", "/labels", "/nothing", "/static/nothing"]
    people += [f"/record/{uid}" for uid in uids] + [f"/lineage/{uid}" for uid in uids]
    return [f"/api/v1/{path}" for path in api + timed] + people


def bytes_of(folder: Path) -> dict[str, str]:
    """The content of every file of the ledger and its storage."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_no_question_changes_a_byte_of_ledger_or_storage(
    here: Path, story: dict[str, str], page: Visitor
) -> None:
    before = ln.head(), bytes_of(here)
    for path in pages(story):
        answer = page.get(path)
        assert answer.status in {200, 400, 404}, (path, answer.body)
    assert (ln.head(), bytes_of(here)) == before


def test_every_answer_bears_the_headers_errors_included(
    story: dict[str, str], page: Visitor
) -> None:
    answers = [page.get(path) for path in pages(story)]
    answers += [page.get("/", method="POST"), page.get("/", Cookie=None), page.get("/", Host="x")]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        pytest.param(401, {"Cookie": None}, id="without the token"),
        pytest.param(401, {"Cookie": "metaledger-{port}=wrong"}, id="with a wrong token"),
        pytest.param(401, {"Cookie": "\u00e9=;;=\u00ff"}, id="with a broken cookie"),
        pytest.param(421, {"Host": "evil.example"}, id="by another name"),
        pytest.param(421, {"Host": "evil.example:{port}"}, id="by another name, our port"),
        pytest.param(421, {"Host": "127.0.0.1"}, id="without the port"),
        pytest.param(405, {"method": "POST"}, id="post"),
        pytest.param(405, {"method": "PUT"}, id="put"),
        pytest.param(405, {"method": "DELETE"}, id="delete"),
        pytest.param(405, {"method": "OPTIONS"}, id="options"),
        pytest.param(
            403, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}, id="another site"
        ),
    ],
)  # fmt: skip
def test_what_may_not_pass_is_refused(page: Visitor, status: int, asked: dict[str, str]) -> None:
    filled = {
        name: value and value.replace("{port}", str(page.port)) for name, value in asked.items()
    }
    answer = page.get("/api/v1/overview", **filled)
    assert answer.status == status
    assert set(answer.json) == {"error", "code"}


def test_the_token_is_taken_once_and_leaves_the_address(page: Visitor) -> None:
    token = page.page.token
    answer = page.get(f"/log?registry=run&token={token}", Cookie=None)
    assert answer.status == 303
    assert answer.headers["location"] == "/log?registry=run"
    cookie = answer.headers["set-cookie"]
    assert cookie == f"metaledger-{page.port}={token}; Path=/; HttpOnly; SameSite=Strict"
    assert page.get("/log?token=wrong", Cookie=None).status == 401


def test_the_token_leads_to_no_other_host(page: Visitor) -> None:
    answer = page.get(f"//evil.example/?token={page.page.token}", Cookie=None)
    assert answer.headers["location"] == "/evil.example/"


def test_a_page_of_another_site_may_link_here(page: Visitor) -> None:
    found = page.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert found.status == 200


def test_nothing_outside_of_the_client_is_served(page: Visitor) -> None:
    for path in ("/static/../app.py", "/static/..%2Fapp.py", "/static/%2e%2e/app.py"):
        assert page.get(path).status == 404


@pytest.mark.usefixtures("here")
def test_a_ledger_of_the_page_refuses_to_be_written() -> None:
    from ledger.web.app import ReadLedger  # noqa: PLC0415

    ledger = ReadLedger(instance.current().place)
    with pytest.raises(ln.errors.ReadOnlyLedgerError):
        ledger.writing()
    with pytest.raises(ln.errors.ReadOnlyLedgerError):
        ledger.sessions.writing().__enter__()
    ledger.close()


def test_a_page_of_the_past_is_that_of_the_past(story: dict[str, str], page: Visitor) -> None:
    now, then = page.get("/api/v1/overview").json, page.get("/api/v1/overview?as_of=paper").json
    assert now["counts"]["runs"] == 2
    assert then["counts"]["runs"] == 1
    assert now["as_of"] == ln.head()
    assert then["as_of"] == ln.as_of("paper").position
    uid = story["out2"]
    assert page.get(f"/api/v1/records/{uid}").status == 200
    assert page.get(f"/api/v1/records/{uid}?as_of=paper").status == 404


def test_a_record_tells_fields_links_versions_and_history(
    story: dict[str, str], page: Visitor
) -> None:
    found = page.get(f"/api/v1/records/{story['out2']}").json
    assert found["name"] == "counts/out.csv"
    assert [it["uid"] for it in found["family"]] == [story["out1"], story["out2"]]
    assert found["links"]["labels"]["items"][0]["name"] == EVIL
    history = page.get(f"/api/v1/records/{story['strange']}/history").json["items"]
    assert history[0]["changes"]["retraction"] == [None, "pipetting <b>error</b>"]
    of_artifact = ln.Artifact.get(story["strange"]).history()
    assert [it["position"] for it in history] == [it.position for it in reversed(of_artifact)]


def test_a_list_has_filters_parts_and_values_to_choose_from(page: Visitor) -> None:
    first = page.get("/api/v1/list/artifacts?limit=3").json
    assert (first["total"], len(first["items"]), first["next"]) == (4, 3, 3)
    rest = page.get("/api/v1/list/artifacts?limit=3&after=3").json
    assert (len(rest["items"]), rest["next"]) == (1, None)
    uids = [it["uid"] for it in first["items"] + rest["items"]]
    assert uids == [it.uid for it in ln.Artifact.filter().reverse()]
    assert page.get("/api/v1/list/runs?status=finished").json["total"] == 2
    assert page.get("/api/v1/list/runs?status=failed").json["total"] == 0
    refused = page.get("/api/v1/list/runs?colour=red")
    assert refused.status == 400
    assert "colour" in refused.json["error"]


def test_a_search_finds_in_all_registries_and_forgives_a_typo(
    story: dict[str, str], page: Visitor
) -> None:
    found = page.get("/api/v1/search?q=cuonts").json["items"]
    assert story["out2"] in {it["uid"] for it in found}


def test_the_log_goes_on_where_it_stopped(page: Visitor) -> None:
    first = page.get("/api/v1/log?limit=4").json
    rest = page.get(f"/api/v1/log?limit=500&until={first['next']}").json
    positions = [it["position"] for it in first["items"] + rest["items"]]
    assert positions == list(range(ln.head(), 0, -1))


def test_names_of_an_enemy_stay_text(story: dict[str, str], page: Visitor) -> None:
    strange = page.get(f"/api/v1/records/{story['strange']}").json
    assert strange["name"] == "explore/\\u202egnp.exe.csv"
    shell = page.get(f"/record/{story['strange']}")
    assert "gnp" not in shell.body.decode()
    assert page.get(f"/api/v1/records/{story['label']}").headers["content-type"] == (
        "application/json"
    )


def test_a_point_of_the_future_is_refused_in_our_words(page: Visitor) -> None:
    answer = page.get("/api/v1/overview?as_of=999999")
    assert answer.status == 400
    assert "in the future" in answer.json["error"]
