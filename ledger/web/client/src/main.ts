// The shell around every page: where one is, at which moment, and how to go elsewhere.

import { h } from "./dom";
import { ask, linked, moment, Refused } from "./moment";
import { listPage, logPage, overviewPage, recordPage, searchPage } from "./pages";

const WORDS = ["artifacts", "collections", "runs", "transforms", "labels", "log"];

interface Point { position: number; recorded_at: string | null; is_now: boolean }

function shell(): { bar: HTMLElement; main: HTMLElement } {
  const search = h("input", {
    type: "search", name: "q", id: "search", placeholder: "Search names, keys, uids ( / )",
    "aria-label": "Search", value: new URL(location.href).searchParams.get("q") ?? "",
  });
  const at = new URL(location.href).searchParams.get("as_of");
  const bar = h("div", { id: "past", role: "status" });
  const main = h("main", { id: "main", tabindex: "-1" });
  document.body.append(
    h("a", { class: "skip", href: "#main" }, "Go to the content"),
    h("header", {},
      h("a", { class: "brand", href: linked("/") }, "metaledger"),
      h("nav", { "aria-label": "Registries" }, WORDS.map((word) => h("a", {
        href: linked(`/${word}`), "aria-current": location.pathname === `/${word}` ? "page" : null,
      }, word.charAt(0).toUpperCase() + word.slice(1)))),
      h("form", { action: "/search", role: "search" }, search,
        at && h("input", { type: "hidden", name: "as_of", value: at })),
      h("span", { class: "chip" }, "read only")),
    bar, main);
  document.addEventListener("keydown", (event) => {
    const inField = event.target instanceof HTMLInputElement && event.target.type !== "range";
    if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    }
  });
  return { bar, main };
}

async function page(at: string | null): Promise<Node[]> {
  const [first = "", second = ""] = location.pathname.split("/").slice(1).map(decodeURIComponent);
  switch (first) {
    case "": return overviewPage(at);
    case "search": return searchPage(at);
    case "log": return logPage(at);
    case "record": return recordPage(second, at);
    default:
      if (WORDS.includes(first)) return listPage(first, at);
      throw new Refused("there is no page at this address");
  }
}

async function begin(): Promise<void> {
  const { bar, main } = shell();
  const at = new URL(location.href).searchParams.get("as_of");
  try {
    if (at !== null) {
      const found = await ask<Point>("point", { at });
      if (!found.is_now) {
        bar.append(
          `You are looking at the past: ${moment(found.recorded_at)}, position ${found.position}`,
          h("a", { href: linked(location.pathname + location.search, { as_of: null }) }, "Back to now"));
      }
    }
    main.append(...(await page(at)));
    const heading = main.querySelector("h1");
    if (heading) document.title = `${heading.textContent?.trim()} · metaledger`;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    main.append(h("h1", {}, "This cannot be shown"), h("p", { class: "warning" }, error.message),
      h("p", {}, h("a", { href: "/" }, "To the overview")));
  }
  document.documentElement.dataset.ready = "yes";
}

void begin();
