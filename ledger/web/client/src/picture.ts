// The lineage as a picture of SVG cards: real links, which can be focused, found and copied.

import { cardsOf, short, type Cards } from "./cards";
import { s, write } from "./dom";
import { CARD, laidOut, type Layout, type Place } from "./layout";
import { nameAt, stateAt, type Edge, type Found, type Timeline } from "./walk";

export type Mark = "" | "new" | "gone" | "changed";
export interface Seen {
  position: number; here: Found; marks: Map<number, Mark>; gone: Set<number>; goneEdges: Edge[];
  isComparing: boolean;
}

interface Drawn {
  link: SVGAElement; name: SVGTextElement; detail: SVGTextElement; state: string; uid: string | null;
}
const NUMBER = new Intl.NumberFormat("en-US");
const ROOM = 21; // characters of a name
const SIGNS: Record<string, string> = { artifact: "●", run: "◆", collection: "■" };

export class Picture {
  readonly svg: SVGSVGElement;
  readonly layout: Layout;
  readonly set: Cards;
  private readonly drawn: Drawn[];
  private readonly paths: { path: SVGPathElement; state: string }[];
  private readonly pathOf = new Map<number, number>();
  private readonly slotCount: number[];
  private readonly tellings: Map<number, string>;

  constructor(
    private readonly line: Timeline, folds: boolean, open: Set<number>, narrow: boolean,
  ) {
    this.set = cardsOf(line, folds, open);
    const { cards, lines } = this.set;
    this.layout = laidOut(cards.length, lines, narrow || cards.length <= 40);
    const isDown = narrow || cards.length <= 40;
    const marker = s("marker", {
      id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7,
      orient: "auto",
    }, s("path", { d: "M0 1L7 4L0 7z", class: "head" }));
    this.paths = lines.map((pair, place) => {
      this.pathOf.set(pair[0] * cards.length + pair[1], place);
      return { path: s("path", { class: "line", d: curve(this.layout.lines[place]!, isDown) }), state: "" };
    });
    this.paths.forEach(({ path }) => path.setAttribute("marker-end", "url(#arrow)"));
    this.tellings = telling(line);
    this.slotCount = cards.map((it) => it.slots.length);
    this.drawn = cards.map((card, number) => this.card(number, card.registry, card.isFolded));
    this.svg = s("svg", {
      class: "picture", width: this.layout.width, height: this.layout.height,
      viewBox: `0 0 ${this.layout.width} ${this.layout.height}`, role: "group",
      "aria-label": "Lineage",
    }, s("defs", {}, marker), this.paths.map((it) => it.path), this.drawn.map((it) => it.link));
  }

  private card(number: number, registry: string, isFolded: boolean): Drawn {
    const { x, y } = this.layout.places[number]!;
    const left = x - CARD.width / 2, top = y - CARD.height / 2;
    const radius = registry === "run" ? 17 : 6;
    const box = (shift: number, kind: string) => s("rect", {
      x: left + shift, y: top + shift, width: CARD.width, height: CARD.height, rx: radius, class: kind,
    });
    const name = s("text", { x: left + 30, y: y - 2.5, class: "name" });
    const detail = s("text", { x: left + 30, y: y + 13, class: "detail" });
    const link = s("a", { class: "card", "data-card": number },
      isFolded && [box(6, "behind"), box(3, "behind")], box(0, "box"),
      s("text", { x: left + 12, y: y - 2.5, class: "sign", "aria-hidden": "true" }, SIGNS[registry] ?? "▪"),
      name, " ", detail);
    return { link, name, detail, state: "", uid: null };
  }

  /** Show what is there at a position. Only what differs from before is written. */
  show(seen: Seen): { there: number[]; newest: (number | null)[]; marks: Mark[] } {
    const { cards, cardOf } = this.set;
    const nodes = this.line.nodes;
    const slots = cards.map(() => new Set<number>());
    const newest: (number | null)[] = cards.map(() => null);
    const retracted = new Array<boolean>(cards.length).fill(false);
    const tally = cards.map(() => ({ new: 0, changed: 0, same: 0, gone: 0 }));
    for (const place of seen.here.nodes) {
      const card = cardOf[place]!;
      slots[card]!.add(nodes[place]!.slot);
      if (newest[card] === null || place > newest[card]!) newest[card] = place;
      if (stateAt(nodes[place]!, seen.position)?.[2]) retracted[card] = true;
      const mark = seen.marks.get(place);
      tally[card]![mark === "new" || mark === "changed" ? mark : "same"] += 1;
    }
    for (const place of seen.gone) tally[cardOf[place]!]!.gone += 1;
    const marks = cards.map((_, card): Mark => {
      if (!seen.isComparing) return "";
      const it = tally[card]!;
      if (it.changed || (it.new && it.same) || (it.gone && (it.new || it.same))) return "changed";
      return it.new ? "new" : it.gone ? "gone" : "";
    });
    const start = seen.here.start === null ? -1 : cardOf[seen.here.start]!;
    cards.forEach((card, number) => {
      const count = slots[number]!.size, last = newest[number];
      const label = card.isFolded || last === null || last === undefined
        ? card.label : nameAt(nodes[last]!, seen.position);
      const title = !card.isFolded && card.registry === "run" && card.label ? card.label : label;
      const told = [
        !count && !marks[number] ? "not there" : "",
        card.isFolded && count ? (marks[number] && retracted[number] ? `${count}/${this.slotCount[number]}`
          : `${count} of ${this.slotCount[number]}`) : "",
        marks[number]!, retracted[number] ? "retracted" : "",
        !card.isFolded && count && last !== null && last !== undefined
          ? short(this.telling(last, seen.position), marks[number] || retracted[number] ? 14 : 24) : "",
      ].filter(Boolean).join(" · ");
      const uid = last === null || last === undefined ? null : nodes[last]!.uid;
      const state = [count > 0, marks[number], retracted[number], start === number, told, title, uid].join("|");
      const it = this.drawn[number]!;
      if (it.state === state) return;
      it.state = state;
      it.uid = uid;
      it.link.setAttribute("class", [
        "card", card.registry, count ? "" : "absent", marks[number], retracted[number] ? "retracted" : "",
        start === number ? "start" : "",
      ].filter(Boolean).join(" "));
      write(it.name, short(title, ROOM));
      write(it.detail, told);
    });
    this.lines(seen);
    return { there: slots.map((it) => it.size), newest, marks };
  }

  /** Let the links of all cards lead to the moment that is shown now. */
  refresh(address: (card: number, uid: string | null) => string): void {
    this.drawn.forEach((it, card) => it.link.setAttribute("href", address(card, it.uid)));
  }

  /** What tells one run from the next, or how large an artifact is. */
  telling(place: number, position: number): string {
    const node = this.line.nodes[place]!;
    const status = stateAt(node, position)?.[3];
    if (status && status !== "finished") return status;
    if (node.registry !== "run") return node.size === undefined ? "" : `${NUMBER.format(node.size)} bytes`;
    return this.tellings.get(place) ?? "";
  }

  private lines(seen: Seen): void {
    const states = new Map<number, string>();
    const { cardOf, cards } = this.set;
    const along = (edge: Edge) => this.pathOf.get(cardOf[edge[0]]! * cards.length + cardOf[edge[1]]!);
    const put = (edges: Edge[], state: (edge: Edge) => string) => {
      for (const edge of edges) {
        const path = along(edge);
        if (path === undefined) continue;
        const now = states.get(path), next = state(edge);
        states.set(path, now === undefined || now === next ? next : "there");
      }
    };
    put(seen.here.edges, (edge) =>
      seen.isComparing && (seen.marks.get(edge[1]) === "new" || seen.marks.get(edge[0]) === "new") ? "there new" : "there");
    for (const edge of seen.goneEdges) {
      const path = along(edge);
      if (path !== undefined && !states.has(path)) states.set(path, "gone");
    }
    this.paths.forEach((it, place) => {
      const state = states.get(place) ?? "absent";
      if (it.state === state) return;
      it.state = state;
      it.path.setAttribute("class", `line ${state}`);
    });
  }
}

/** The parameters that tell a run from the other runs of its script. */
function telling(line: Timeline): Map<number, string> {
  const values = new Map<string, Set<string>>();
  const key = (script: string | undefined, name: string) => `${script} ${name}`;
  for (const node of line.nodes) {
    for (const [name, value] of Object.entries(node.params ?? {})) {
      const known = values.get(key(node.script, name)) ?? new Set();
      values.set(key(node.script, name), known.add(value));
    }
  }
  return new Map(line.nodes.flatMap((node, place) => {
    const params = Object.entries(node.params ?? {});
    const differing = params.filter(([name]) => values.get(key(node.script, name))!.size > 1);
    const told = differing.length ? differing : params;
    return told.length ? [[place, told.map((it) => it.join(" ")).join(", ")] as [number, string]] : [];
  }));
}

/** A smooth line through points, along the direction of time. */
function curve(points: Place[], isDown: boolean): string {
  const [first, ...rest] = points;
  let text = `M${first!.x} ${first!.y}`, from = first!;
  for (const to of rest) {
    const middle = isDown ? (from.y + to.y) / 2 : (from.x + to.x) / 2;
    text += isDown ? `C${from.x} ${middle} ${to.x} ${middle} ${to.x} ${to.y}`
      : `C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
    from = to;
  }
  return text;
}
