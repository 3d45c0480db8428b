"""The page in a browser: the slider, the comparison, the keyboard, names of an enemy, both themes.

Chromium is the one that is installed (`METALEDGER_CHROMIUM` names another); none is downloaded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.places import instance
from tests.support.page import served

CHROMIUM = os.environ.get("METALEDGER_CHROMIUM") or shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="tests of the page need Chromium (METALEDGER_CHROMIUM), which is not here"
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
EVIL = "<img src=x onerror=alert(1)>"
SERIOUS = {"serious", "critical"}


class Looked:
    """A page in a browser, and everything that a quiet page never says."""

    def __init__(self, page: Any, root: str, uids: dict[str, str]) -> None:
        self.page, self.root, self.uids = page, root, uids
        self.said: list[str] = []
        page.on("console", lambda it: self.said.append(f"console: {it.text}"))
        page.on("pageerror", lambda it: self.said.append(f"error: {it}"))
        page.on("dialog", lambda it: (self.said.append("a dialog"), it.dismiss()))
        page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.root, "data:", "blob:")):
            self.said.append(f"a request to {request.url}")

    def go(self, path: str) -> Any:
        self.page.goto(self.root + path)
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def places(self) -> list[Any]:
        """Where every card stands."""
        return self.page.eval_on_selector_all(
            ".card .box", "all => all.map(it => [it.getAttribute('x'), it.getAttribute('y')])"
        )

    def cards(self, kind: str) -> list[str]:
        return self.page.eval_on_selector_all(
            f".card.{kind} .name", "all => all.map(it => it.textContent)"
        )


def write(key: str, text: str) -> Any:
    path = Path("work") / key.replace("/", "_")[:40]
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return ln.Artifact(path, key=key).save()


def story() -> dict[str, str]:
    """Seven samples gated twice, a report of each time, a retraction, names of an enemy."""
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    evil = ln.ULabel(name=EVIL).save()
    found = {"label": evil.uid}
    settings = write("settings.json", "{}")
    for version, threshold in enumerate((0.5, 0.7), 1):
        ln.track(name="gate", key="gate.py", params={"threshold": threshold, "x": EVIL})
        settings.cache()
        for sample in range(6 + version):
            write(f"gated/sample-{sample}.csv", f"{sample} {threshold}")
        ln.finish()
        ln.track(name="report", key="report.py", params={"version": version})
        for sample in range(6 + version):
            ln.Artifact.get(key=f"gated/sample-{sample}.csv").cache()
        found["report"] = write("report.html", f"<script>alert({version})</script>").uid
        ln.finish()
        ln.tag("paper" if version == 1 else "revision")
    ln.Artifact.get(key="gated/sample-3.csv").retract("a pipette <b>leaked</b>")
    ln.track(name=EVIL, key="explore.py")
    for key in ("<script>alert(1)</script>.csv", "\u202egnp.exe.csv", f"{'long-' * 30}name.csv"):
        strange = write(f"explore/{key}", key)
        strange.labels.add(evil)
        found[key[:4]] = strange.uid
    ln.finish()
    found["run"] = str(ln.Artifact.get(found["<scr"]).run.uid)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (50 MB)

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, ledger_folder: Path) -> Iterator[Any]:  # noqa: ARG001 (the working folder)
    ln.init("storage")
    ln.connect()
    uids = story()
    with served(instance.current().place) as visitor:

        @contextmanager
        def open_page(
            *, theme: str = "light", width: int = 1440, **options: Any
        ) -> Iterator[Looked]:
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme, **options
            )
            looked = Looked(context.new_page(), visitor.page.root, uids)
            looked.page.goto(visitor.page.address())
            looked.page.wait_for_selector("html[data-ready]")
            yield looked
            context.close()

        yield open_page
    ln.close()


def test_no_name_of_an_enemy_does_anything_on_any_page(opened: Any) -> None:
    with opened() as looked:
        paths = ["/", "/artifacts", "/runs", "/labels", "/transforms", "/log", "/search?q=script"]
        paths += [f"/record/{uid}" for uid in looked.uids.values()]
        paths += [
            f"/lineage/{looked.uids[name]}?direction=both" for name in ("report", "<scr", "run")
        ]
        for path in paths:
            page = looked.go(path)
            assert page.evaluate("document.scripts.length") == 1, path
            assert page.locator("main img, main iframe, main script").count() == 0, path
        assert (
            "\\u202egnp.exe.csv" in looked.go(f"/record/{looked.uids[chr(0x202E) + 'gnp']}").title()
        )
        assert looked.said == []


def test_the_slider_moves_what_is_there_and_no_card(opened: Any) -> None:
    with opened() as looked:
        page = looked.go(f"/lineage/{looked.uids['report']}")
        before = looked.places()
        assert len(before) >= 4
        now = looked.cards("artifact")
        assert page.get_attribute("#slider", "aria-valuetext").endswith(f"position {ln.head()}")
        page.focus("#slider")
        page.keyboard.press("Home")
        assert page.get_attribute("#slider", "aria-valuetext") == "the beginning, position 0"
        assert len(looked.cards("absent")) == len(before)
        for _ in range(12):
            page.keyboard.press(".")
            assert looked.places() == before
        page.keyboard.press("End")
        assert looked.cards("artifact") == now
        page.keyboard.press("[")
        position = ln.as_of("revision").position
        page.wait_for_url(f"**as_of={position}")
        assert "looking at the past" in page.inner_text("#past")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert page.input_value("#slider") == str(position)
        assert looked.said == []


def test_tables_and_counts_are_those_of_the_lineage(opened: Any) -> None:
    with opened() as looked:
        for tag in ("paper", "revision"):
            page = looked.go(f"/lineage/{looked.uids['report']}?as_of={tag}")
            record = ln.as_of(tag).Artifact.get(key="report.html")
            truth = record.lineage()
            told = [it.inner_text() for it in page.locator(".side .tile strong").all()]
            links = [edge for edge in truth.edges if edge.kind != "revision"]
            assert told[:3] == [str(len(it)) for it in (truth.artifacts, truth.runs, links)]


def test_two_moments_are_compared_in_words_and_colour(opened: Any) -> None:
    with opened() as looked:
        page = looked.go(f"/lineage/{looked.uids['report']}?as_of=paper&fold=0")
        assert not page.locator("#legend").is_visible()
        page.keyboard.press("c")
        page.keyboard.press("]")
        a, b = (ln.as_of(tag).position for tag in ("paper", "revision"))
        page.wait_for_url(f"**as_of={b}&*compare={a}")
        truth = ln.Artifact.get(key="report.html").lineage_diff("paper", "revision")
        added = {it.name for it in truth.added if it.registry == "artifact"}
        assert added == {"gated/sample-7.csv"}
        assert looked.cards("new") == ["gated/sample-7.csv"]
        assert "report.html" in looked.cards("changed")
        assert "settings.json" not in looked.cards("changed")
        assert page.locator("#legend").is_visible()
        assert "Comparing" in page.inner_text("#past")
        assert "new" in page.locator(".card.new .detail").first.text_content()
        before = page.inner_text(".side .here")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert page.inner_text(".side .here") == before


def test_a_folded_card_opens_and_folds_again(opened: Any) -> None:
    with opened() as looked:
        page = looked.go(f"/lineage/{looked.uids['report']}")
        folded = len(looked.places())
        page.locator(".card", has_text="gated/sample-").click()
        page.wait_for_selector("html[data-ready] .tools a[aria-label*=fold]")
        assert len(looked.places()) == folded + 7
        page.locator(".tools a[aria-label*=fold]").click()
        page.wait_for_url(lambda url: "open=" not in url)
        page.wait_for_selector("html[data-ready] .card")
        assert len(looked.places()) == folded


def test_all_of_it_can_be_done_by_keyboard_alone(opened: Any) -> None:
    with opened() as looked:
        page = looked.go("/")
        page.keyboard.press("/")
        page.keyboard.type("report.html")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=report.html")
        page.wait_for_selector("main table a")
        page.locator("main table a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/record/**")
        page.wait_for_selector("a.button.main")
        page.focus("a.button.main")
        page.keyboard.press("Enter")
        page.wait_for_selector("#slider")
        page.keyboard.press("c")
        page.keyboard.press(",")
        page.wait_for_url("**as_of=*")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.focus(".twin summary")
        page.keyboard.press("Enter")
        assert page.locator(".twin li a").first.text_content() == "report.html"
        page.go_back()
        page.wait_for_url("**/record/**")
        assert looked.said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_anybody(opened: Any, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    # The checker adds a script of its own, which the page would refuse.
    with opened(theme=theme, bypass_csp=True) as looked:
        report = looked.uids["report"]
        for path in (
            "/", "/artifacts", "/runs", "/log", "/search?q=report", f"/record/{report}",
            f"/lineage/{report}", f"/lineage/{report}?as_of=revision&compare=paper&fold=0",
            "/nothing",
        ):  # fmt: skip
            found = Axe().run(looked.go(path)).response["violations"]
            serious = [
                (it["id"], [node["html"][:120] for node in it["nodes"][:3]])
                for it in found
                if it["impact"] in SERIOUS
            ]
            assert serious == [], path


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_nothing_is_wider_than_the_screen(opened: Any, width: int) -> None:
    with opened(width=width) as looked:
        for path in ("/", "/artifacts", "/log", *(f"/record/{it}" for it in looked.uids.values())):
            page = looked.go(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        page = looked.go(f"/lineage/{looked.uids['report']}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_picture_of_the_documents_can_be_taken_again(
    opened: Any, request: pytest.FixtureRequest
) -> None:
    """`METALEDGER_PICTURES=docs/pictures` writes it anew."""
    folder = os.environ.get("METALEDGER_PICTURES")
    with opened() as looked:
        page = looked.go(f"/lineage/{looked.uids['report']}?as_of=revision&compare=paper&fold=0")
        taken = page.screenshot()
        assert taken.startswith(b"\x89PNG")
        if folder is not None:
            (request.config.rootpath / folder / "web-lineage.png").write_bytes(taken)
    assert (request.config.rootpath / "docs" / "pictures" / "web-lineage.png").exists()
