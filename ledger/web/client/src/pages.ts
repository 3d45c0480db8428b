// The pages that read: overview, search, lists, one record, the log.

import { h } from "./dom";
import { ask, count, linked, moment } from "./moment";
import type { Change, Happening, Listing, Overview, Row, Whole } from "./shapes";

const SIGNS: Record<string, string> = { artifact: "●", run: "◆", collection: "■", transform: "▲" };

export const sign = (registry: string): HTMLElement =>
  h("span", { class: `sign ${registry}`, "aria-hidden": "true" }, SIGNS[registry] ?? "▪");

const given = (name: string): string | null => new URL(location.href).searchParams.get(name);

export const recordLink = (uid: string, text: string): HTMLElement =>
  h("a", { href: linked(`/record/${uid}`) }, text);

const text = (value: unknown): string =>
  value === null || value === undefined ? "—"
    : typeof value === "object" ? JSON.stringify(value) : String(value);

function table(heads: string[], rows: (Node | string)[][]): HTMLElement {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads.join(", ") },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((it) => h("th", { scope: "col" }, it)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}

function records(rows: Row[]): HTMLElement {
  if (!rows.length) return h("p", { class: "quiet" }, "Nothing here.");
  return table(["Name", "Detail", "By", "Created"], rows.map((row) => [
    h("span", { class: "named" }, sign(row.registry), recordLink(row.uid, row.name),
      row.is_retracted && h("span", { class: "mark gone" }, "retracted"),
      row.state !== "live" && h("span", { class: "mark" }, row.state)),
    row.detail, row.by, moment(row.at),
  ]));
}

function events(items: Happening[]): HTMLElement {
  return table(["Position", "When", "Who", "What", "Record", "In short"], items.map((it) => [
    h("a", { href: linked(location.pathname, { as_of: String(it.position) }) }, count(it.position)),
    moment(it.recorded_at), it.actor, it.type.replace(/\.v\d+$/, "").replaceAll("-", " "),
    it.uid && it.registry
      ? h("span", { class: "named" }, sign(it.registry), recordLink(it.uid, it.uid)) : "—",
    it.summary,
  ]));
}

const title = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

export async function overviewPage(at: string | null): Promise<Node[]> {
  const found = await ask<Overview>("overview", { as_of: at });
  return [
    h("h1", {}, found.name),
    h("div", { class: "tiles" }, Object.entries(found.counts).map(([word, number]) =>
      h("a", { class: "tile", href: linked(`/${word}`) },
        h("strong", {}, count(number)), h("span", {}, word)))),
    found.tags.length > 0 && h("h2", {}, "Named moments"),
    found.tags.length > 0 && h("p", { class: "flags" }, found.tags.map((tag) =>
      h("a", { class: "flag", href: linked("/", { as_of: tag.name }) },
        `⚑ ${tag.name}`, h("span", {}, ` position ${count(tag.position)}`)))),
    h("h2", {}, "Last events"),
    events(found.events),
    h("p", {}, h("a", { href: linked("/log") }, "The whole log")),
  ].filter((it): it is HTMLElement => it !== false);
}

export async function searchPage(at: string | null): Promise<Node[]> {
  const words = given("q") ?? "";
  const found = await ask<{ items: Row[] }>("search", { q: words, as_of: at });
  return [h("h1", {}, words ? `“${words}”` : "Search"), records(found.items)];
}

export async function listPage(word: string, at: string | null): Promise<Node[]> {
  const here = new URL(location.href).searchParams;
  const query: Record<string, string | null> = { ...Object.fromEntries(here), as_of: at };
  const found = await ask<Listing>(`list/${word}`, query);
  const facets = Object.entries(found.facets).map(([field, values]) =>
    h("p", { class: "facet" }, h("span", { class: "quiet" }, field.replaceAll("_", " ")),
      values.map(([value, number]) => {
        const chosen = here.get(field) === value;
        return h("a", {
          class: chosen ? "choice chosen" : "choice", "aria-current": chosen ? "true" : null,
          href: linked(location.pathname + location.search,
            { [field]: chosen ? null : value, after: null }),
        }, `${value} `, h("span", {}, count(number)));
      })));
  return [
    h("h1", {}, title(word), h("span", { class: "quiet" }, ` ${count(found.total)}`)),
    h("form", { class: "narrow", action: location.pathname },
      h("label", {}, "Find in this list ",
        h("input", { name: "q", type: "search", value: here.get("q") ?? "" })),
      at && h("input", { type: "hidden", name: "as_of", value: at })),
    ...facets,
    records(found.items),
    ...(found.next === null || here.get("q") ? [] : [h("p", {}, h("a", {
      href: linked(location.pathname + location.search, { after: String(found.next) }),
    }, "Next part"))]),
  ];
}

export async function logPage(at: string | null): Promise<Node[]> {
  const here = Object.fromEntries(new URL(location.href).searchParams);
  const found = await ask<{ items: Happening[]; next: number | null }>("log", { ...here, as_of: at });
  return [
    h("h1", {}, "Log"), events(found.items),
    ...(found.next === null ? [] : [h("p", {}, h("a", {
      href: linked("/log", { until: String(found.next) }),
    }, "Earlier events"))]),
  ];
}

export async function recordPage(uid: string, at: string | null): Promise<Node[]> {
  const [found, past] = await Promise.all([
    ask<Whole>(`records/${uid}`, { as_of: at }),
    ask<{ items: Change[] }>(`records/${uid}/history`, { as_of: at }),
  ]);
  const fields = Object.entries(found.fields).filter(([name]) => name !== "key" && name !== "name");
  const rows = past.items.flatMap((it) => {
    const changes = Object.entries(it.changes);
    const told: [string, [unknown, unknown]][] = changes.length ? changes : [["", [null, null]]];
    return told.map(([name, [before, after]]) => [
      h("a", { href: linked(location.pathname, { as_of: String(it.position) }) }, count(it.position)),
      moment(it.recorded_at), it.actor, name.replaceAll("_", " "),
      name ? text(before) : "—", name ? text(after) : it.type,
    ]);
  });
  return [
    h("h1", {}, sign(found.registry), ` ${found.name}`),
    h("p", { class: "under" },
      h("code", {}, found.uid), ` ${found.title}, created ${moment(found.created.at)} by `,
      found.created.by, ` at position ${count(found.created.position)}`,
      found.state !== "live" && h("span", { class: "mark" }, found.state)),
    ...(found.retraction === null ? [] : [
      h("p", { class: "warning", role: "note" }, `Retracted: ${found.retraction}`)]),
    ...(found.has_lineage ? [h("p", {}, h("a", {
      class: "button main", href: linked(`/lineage/${found.uid}`),
    }, "Lineage through time"))] : []),
    ...(found.family.length > 1 ? [h("p", { class: "facet" },
      h("span", { class: "quiet" }, "versions"), found.family.map((it, place) =>
        h("a", {
          class: it.uid === found.uid ? "choice chosen" : "choice",
          "aria-current": it.uid === found.uid ? "true" : null,
          href: linked(`/record/${it.uid}`),
        }, it.version ?? `${place + 1}`)))] : []),
    h("h2", {}, "Fields"),
    h("dl", {}, fields.map(([name, value]) => [
      h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, text(value))])),
    ...Object.entries(found.links).flatMap(([name, { items, total }]) => [
      h("h2", {}, title(name.replaceAll("_", " ")),
        h("span", { class: "quiet" }, total > 1 ? ` ${count(total)}` : "")),
      records(items)]),
    h("h2", {}, "History"),
    table(["Position", "When", "Who", "Field", "Before", "After"], rows),
    h("h2", {}, "Proof"),
    h("p", {}, "On a terminal: ", h("code", {}, `metaledger prove ${found.uid}`)),
  ];
}
