// The time machine: the lineage of a result under a slider, and two moments compared in colour.

import { foldable, short } from "./cards";
import { h, write } from "./dom";
import { ask, count, day, linked, moment } from "./moment";
import { sign } from "./pages";
import { Picture, type Mark } from "./picture";
import type { Moments } from "./shapes";
import { Slider } from "./slider";
import { Time } from "./time";
import { nameAt, stateAt, Walker, type Compared, type Direction, type Found, type Timeline } from "./walk";

export interface Data { timeline: Timeline; moments: Moments; position: number; compare: number | null }

interface Wanted {
  direction: Direction; depth: number | null; folds: boolean; open: Set<number>; byTime: boolean;
}

const DIRECTIONS: [Direction, string][] = [
  ["ancestors", "Where it came from"], ["descendants", "Where it went"], ["both", "Both ways"],
];
const KEYS: [string, string][] = [
  ["← →", "one event earlier, later"], [", .", "one change of this lineage earlier, later"],
  ["[ ]", "one named moment earlier, later"], ["Home End", "the beginning, now"],
  ["c", "compare from here"], ["f", "fold alike"], ["+ -", "zoom"], ["p", "play"],
  ["/", "search"], ["?", "these keys"],
];

function wanted(): Wanted {
  const here = new URL(location.href).searchParams;
  const direction = here.get("direction");
  const depth = here.get("depth");
  return {
    direction: direction === "descendants" || direction === "both" ? direction : "ancestors",
    depth: depth !== null && /^\d+$/.test(depth) ? Number(depth) : null,
    folds: here.get("fold") !== "0",
    open: new Set((here.get("open") ?? "").split(",").filter(Boolean).map(Number)),
    byTime: here.get("axis") === "time",
  };
}

const local = (path: string, changes: Record<string, string | null>): string =>
  linked(path + location.search, changes);

export async function lineagePage(uid: string, at: string | null): Promise<Node[]> {
  const want = wanted();
  const against = new URL(location.href).searchParams.get("compare");
  const [timeline, moments, point, other] = await Promise.all([
    ask<Timeline>(`records/${uid}/timeline`, { direction: want.direction }),
    ask<Moments>("moments", { buckets: "1000" }),
    ask<{ position: number }>("point", { at }),
    against === null ? null : ask<{ position: number }>("point", { at: against }),
  ]);
  const page = new TimeMachine(uid, {
    timeline, moments, position: point.position, compare: other?.position ?? null,
  }, want);
  return page.elements;
}

export class TimeMachine {
  readonly elements: Node[];
  private readonly walker: Walker;
  private readonly slider: Slider;
  private readonly picture: Picture;
  private readonly frame: HTMLElement;
  private readonly tiles: Record<string, [HTMLElement, HTMLElement]> = {};
  private readonly rows: { row: HTMLTableRowElement; uid: string | null; mark: HTMLElement; link: HTMLAnchorElement; detail: HTMLElement; at: HTMLElement }[];
  private readonly bar = document.getElementById("past")!;
  private readonly barText = h("span", {});
  private readonly note = h("p", { class: "empty", hidden: true });
  private readonly tree = h("ul", {});
  private readonly treeBox: HTMLDetailsElement;
  private readonly cache = new Map<number, Found>();
  private readonly days: string[];
  private isStale = true;
  private zoom = 1;
  private written = 0;
  private position: number;
  private compare: number | null;
  private exact: { position: number; at: string | null } | null = null;

  constructor(private readonly uid: string, data: Data, private readonly want: Wanted) {
    this.walker = new Walker(data.timeline);
    this.position = data.position;
    this.compare = data.compare;
    const { timeline } = data;
    this.days = timeline.nodes.map((it) => day(it.at));
    document.body.classList.add("machine");
    const changes = [...new Set(timeline.nodes.flatMap((it) => it.states.map(([from]) => from))
      .concat(timeline.links.flatMap(([, , , from, to]) => (to === null ? [from] : [from, to]))))]
      .filter((it) => it <= data.moments.head).sort((a, b) => a - b);
    this.slider = new Slider(new Time(data.moments), changes, want.byTime, {
      moved: (position) => this.move(position),
      compare: () => this.comparing(),
      axis: (byTime) => location.assign(this.address({ axis: byTime ? "time" : null })),
    });
    const narrow = window.innerWidth < 700;
    this.picture = new Picture(timeline, want.folds, want.open, narrow);
    this.frame = h("div", { class: "frame", tabindex: "0", role: "region", "aria-label": "Picture of the lineage" },
      this.picture.svg, this.note);
    this.rows = this.picture.set.cards.map((card) => {
      const mark = h("span", { class: "mark" }), link = h("a", {}, ""), detail = h("td", {}), when = h("td", {});
      const row = h("tr", {}, h("td", {}, h("span", { class: "named" }, sign(card.registry), link, mark)), detail, when);
      return { row, uid: null, mark, link, detail, at: when };
    });
    this.treeBox = h("details", { class: "twin", ontoggle: () => this.drawTree() },
      h("summary", {}, "As text"), this.tree);
    this.elements = [this.bars(timeline), h("div", { class: "stage" }, this.frame, this.side()), this.slider.element];
    document.addEventListener("keydown", (event) => this.key(event));
    // Nobody follows a link to a moment that has passed on.
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => this.refresh(), true);
    // Once its elements are in the page, so that there is a room to fit into.
    document.addEventListener("placed", () => {
      this.fit();
      this.show();
      this.refresh();
      this.center();
    }, { once: true });
  }

  private bars(timeline: Timeline): HTMLElement {
    const { want } = this;
    const name = timeline.nodes.length ? nameAt(timeline.nodes[this.lastStart(timeline)]!, timeline.head) : this.uid;
    const opened = [...want.open].filter((it) => it < timeline.groups.length);
    const depth = want.depth;
    const link = (text: string, changes: Record<string, string | null>, more: Record<string, unknown> = {}) =>
      h("a", { class: "button", href: local(location.pathname, changes), "data-change": JSON.stringify(changes), ...more }, text);
    return h("div", { class: "tools" },
      h("h1", {}, short(name, 60)),
      h("span", { class: "group" }, DIRECTIONS.map(([direction, text]) => link(text, {
        direction: direction === "ancestors" ? null : direction, open: null,
      }, { "aria-current": direction === want.direction ? "true" : null }))),
      h("span", { class: "group" },
        link("−", { depth: String(Math.max(0, (depth ?? 4) - 1)) }, { "aria-label": "Less deep" }),
        h("span", { class: "button still" }, depth === null ? "all levels" : `${depth} levels`),
        link("+", { depth: depth === null || depth >= 12 ? null : String(depth + 1) }, { "aria-label": "Deeper" })),
      foldable(timeline).size > 0 && link("Fold alike", { fold: want.folds ? "0" : null, open: null },
        { "aria-current": want.folds ? "true" : null, id: "fold" }),
      opened.map((group) => link(`${short(timeline.groups[group]!, 24)} ×`, {
        open: opened.filter((it) => it !== group).join(",") || null,
      }, { "aria-label": `${short(timeline.groups[group]!, 24)} ×, fold again` })),
      h("span", { class: "group" },
        h("button", { class: "button", type: "button", "aria-label": "Smaller", onclick: () => this.scale(0.8) }, "−"),
        h("button", { class: "button", type: "button", onclick: () => { this.fit(0.2); this.center(); } }, "Fit"),
        h("button", { class: "button", type: "button", "aria-label": "Larger", onclick: () => this.scale(1.25) }, "+")),
      h("a", { class: "button", href: linked(`/record/${this.uid}`) }, "Record"),
      h("button", { class: "button", type: "button", onclick: () => this.help() }, "Keys"));
  }

  private lastStart(timeline: Timeline): number {
    return [...timeline.starts].reverse().find(([, it]) => it !== null)?.[1] ?? 0;
  }

  private side(): HTMLElement {
    const tile = (name: string) => {
      const number = h("strong", {}), more = h("em", {});
      this.tiles[name] = [number, more];
      return h("div", { class: "tile" }, h("span", {}, number, " ", more), h("span", {}, name));
    };
    return h("aside", { class: "side", "aria-label": "What is here" },
      h("div", { class: "tiles" }, ["artifacts", "runs", "links", "retracted"].map(tile)),
      !this.walker.line.is_complete && h("p", { class: "warning" },
        "This lineage is larger than the page shows: it was cut off at 20,000 links."),
      h("p", { class: "legend", id: "legend" },
        h("span", { class: "mark new" }, "new"), h("span", { class: "mark gone" }, "gone"),
        h("span", { class: "mark changed" }, "changed")),
      this.treeBox,
      h("h2", {}, "What is here"),
      h("table", { class: "here" },
        h("thead", {}, h("tr", {}, ["Record", "Detail", "At"].map((it) => h("th", { scope: "col" }, it)))),
        h("tbody", {}, [...this.rows].reverse().map((it) => it.row))));
  }

  private cardAddress(card: number, uid: string | null): string {
    const it = this.picture?.set.cards[card];
    if (it?.isFolded) {
      const open = [...this.want.open, it.group].join(",");
      return this.address({ open });
    }
    return uid === null ? this.address({}) : this.address({}, `/record/${uid}`);
  }

  private address(changes: Record<string, string | null>, path = location.pathname): string {
    const isPage = path === location.pathname;
    const there = new URL(path + (isPage ? location.search : ""), location.origin);
    const state: Record<string, string | null> = {
      as_of: this.position === this.slider?.time.head ? null : String(this.position),
      compare: this.compare === null ? null : String(this.compare), ...changes,
    };
    for (const [name, value] of Object.entries(state)) {
      if (value === null) there.searchParams.delete(name);
      else there.searchParams.set(name, value);
    }
    return there.pathname + there.search.replaceAll("%2C", ",");
  }

  private move(position: number): void {
    this.position = position;
    this.isStale = true;
    this.show();
    window.clearTimeout(this.written);
    this.written = window.setTimeout(() => void this.settle(), 250);
  }

  /** Once the slider rests: the address, and the exact time of the position. */
  private async settle(): Promise<void> {
    this.refresh();
    const { position } = this;
    if (position > 0 && !this.slider.time.isExact(position) && location.protocol !== "file:") {
      const found = await ask<{ recorded_at: string | null }>("point", { at: String(position) });
      this.exact = { position, at: found.recorded_at };
      if (this.position === position) this.show();
    }
  }

  /** Let the address and all links be those of the moment that is shown. */
  private refresh(): void {
    if (!this.isStale) return;
    this.isStale = false;
    history.replaceState(null, "", this.address({}));
    for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-change]"))
      link.href = this.address(JSON.parse(link.dataset.change!));
    this.picture.refresh((card, uid) => this.cardAddress(card, uid));
    this.rows.forEach((it, card) => (it.link.href = this.cardAddress(card, it.uid)));
  }

  private comparing(): void {
    this.compare = this.compare === null ? this.position : null;
    this.move(this.position);
  }

  private found(position: number): Found {
    let found = this.cache.get(position);
    if (!found) {
      found = this.walker.at(position, this.want.direction, this.want.depth);
      if (this.cache.size > 50) this.cache.clear();
      this.cache.set(position, found);
    }
    return found;
  }

  private when(position: number): string {
    const at = this.exact?.position === position ? this.exact.at : null;
    return position === 0 ? "the beginning" : moment(at ?? this.slider.time.at(position));
  }

  private show(): void {
    const began = performance.now();
    const { line } = this.walker;
    const isComparing = this.compare !== null && this.compare !== this.position;
    const [a, b] = [this.compare ?? this.position, this.position].sort((x, y) => x - y) as [number, number];
    const later = this.found(b);
    let compared: Compared | null = null, earlier: Found | null = null;
    if (isComparing) {
      earlier = this.found(a);
      compared = this.walker.compare(earlier, a, later, b);
    }
    const seen = {
      position: b, here: later, isComparing, marks: (compared?.marks ?? new Map()) as Map<number, Mark>,
      gone: compared?.gone ?? new Set<number>(),
      goneEdges: earlier && compared
        ? earlier.edges.filter(([, target]) => compared.gone.has(target) || !later.nodes.has(target)) : [],
    };
    const { there, newest, marks } = this.picture.show(seen);
    const counts = (found: Found | null, at: number) => {
      const total = { artifacts: 0, runs: 0, links: found?.edges.filter((it) => it[2] !== "revision").length ?? 0, retracted: 0 };
      for (const place of found?.nodes ?? []) {
        const node = line.nodes[place]!;
        if (node.registry === "artifact") total.artifacts += 1;
        else if (node.registry === "run") total.runs += 1;
        if (stateAt(node, at)?.[2]) total.retracted += 1;
      }
      return total;
    };
    const now = counts(later, b), before = isComparing ? counts(earlier, a) : now;
    for (const [name, [number, more]] of Object.entries(this.tiles)) {
      const key = name as keyof typeof now, plus = now[key] - before[key];
      write(number, count(now[key]));
      write(more, plus === 0 ? "" : plus > 0 ? `+${count(plus)}` : `−${count(-plus)}`);
    }
    this.rows.forEach((it, card) => this.row(it, card, there[card]!, newest[card]!, marks[card]!, b));
    const at = this.exact?.position === this.position ? this.exact.at : null;
    this.slider.show(this.position, this.compare, at);
    const isPast = b !== this.slider.time.head || isComparing;
    write(this.barText, isComparing
      ? `Comparing position ${count(a)} (${this.when(a)}) with position ${count(b)} (${this.when(b)})`
      : isPast ? `You are looking at the past: ${this.when(b)}` : "");
    if (isPast && !this.bar.children.length)
      this.bar.append(this.barText, h("button", { class: "plain", type: "button", onclick: () => {
        this.compare = null;
        this.move(this.slider.time.head);
      } }, "Back to now"));
    if (!isPast) this.bar.replaceChildren();
    document.getElementById("legend")!.hidden = !isComparing;
    this.note.hidden = later.start !== null;
    write(this.note, later.start === null ? "At this moment there is no version of it yet." : "");
    this.drawTree();
    (window as unknown as { stepped: number }).stepped = performance.now() - began;
  }

  private row(
    it: TimeMachine["rows"][number], card: number, there: number, newest: number | null, mark: Mark, at: number,
  ): void {
    const isThere = newest !== null;
    if (it.row.hidden === isThere) it.row.hidden = !isThere;
    if (newest === null) return;
    const { line } = this.walker, node = line.nodes[newest]!, { cards } = this.picture.set;
    const it_ = cards[card]!;
    write(it.link, it_.isFolded || node.registry === "run" ? it_.label : nameAt(node, at));
    it.uid = node.uid;
    write(it.detail, it_.isFolded ? `${count(there)} of ${count(it_.slots.length)}`
      : this.picture.telling(newest, at));
    write(it.at, this.days[newest]!);
    const state = stateAt(node, at)?.[2] ? "retracted" : mark;
    write(it.mark, state);
    const kind = `mark ${state === "retracted" ? "gone" : mark}`;
    if (it.mark.className !== kind) it.mark.className = kind;
  }

  /** The same lineage as a list that goes deeper, for those who read and do not see. */
  private drawTree(): void {
    if (!this.treeBox.open) return;
    const { line } = this.walker, later = this.found(Math.max(this.position, this.compare ?? 0));
    const { cards, cardOf } = this.picture.set;
    const next = new Map<number, Set<number>>();
    const isUp = this.want.direction !== "descendants";
    for (const [source, target, kind] of later.edges) {
      if (kind === "revision") continue;
      const [from, to] = isUp ? [cardOf[target]!, cardOf[source]!] : [cardOf[source]!, cardOf[target]!];
      if (from !== to) next.set(from, (next.get(from) ?? new Set()).add(to));
    }
    const told = new Set<number>();
    const item = (card: number): HTMLElement => {
      const again = told.has(card);
      told.add(card);
      const place = [...later.nodes].find((it) => cardOf[it] === card);
      const below = again ? [] : [...(next.get(card) ?? [])];
      return h("li", {}, sign(cards[card]!.registry), " ",
        h("a", { href: this.cardAddress(card, place === undefined ? null : line.nodes[place]!.uid) }, cards[card]!.label),
        cards[card]!.isFolded && ` ×${cards[card]!.slots.length}`, again && " (as above)",
        below.length > 0 && h("ul", {}, below.map(item)));
    };
    this.tree.replaceChildren(...(later.start === null ? [] : [item(cardOf[later.start]!)]));
  }

  private fit(least = 0.75): void {
    const { width, height } = this.picture.layout;
    const room = Math.min((this.frame.clientWidth - 12) / width, (this.frame.clientHeight - 12) / height);
    this.zoomTo(Math.max(Math.min(1, least), Math.min(1, room)));
  }

  private scale(by: number): void {
    this.zoomTo(Math.max(0.15, Math.min(3, this.zoom * by)));
  }

  private zoomTo(zoom: number): void {
    this.zoom = zoom;
    this.picture.svg.setAttribute("width", String(this.picture.layout.width * zoom));
    this.picture.svg.setAttribute("height", String(this.picture.layout.height * zoom));
  }

  /** Bring the result into view. */
  private center(): void {
    const start = this.found(this.position).start ?? this.lastStart(this.walker.line);
    const place = this.picture.layout.places[this.picture.set.cardOf[start]!];
    if (place) this.frame.scrollTo(
      place.x * this.zoom - this.frame.clientWidth / 2, place.y * this.zoom - this.frame.clientHeight / 2);
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof HTMLInputElement && target.type !== "range") return;
    const head = this.slider.time.head;
    const isRange = target === this.slider.input;
    const steps: Record<string, () => void> = {
      ",": () => this.slider.change(-1), ".": () => this.slider.change(1),
      "[": () => this.slider.tag(-1), "]": () => this.slider.tag(1),
      c: () => this.comparing(), p: () => this.slider.play(), "?": () => this.help(),
      f: () => document.getElementById("fold")?.click(),
      "+": () => this.scale(1.25), "-": () => this.scale(0.8),
      ...(isRange && !this.want.byTime ? {} : target === this.frame ? {} : {
        ArrowLeft: () => this.slider.go(this.position - 1),
        ArrowRight: () => this.slider.go(this.position + 1),
        Home: () => this.slider.go(0), End: () => this.slider.go(head),
      }),
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  }

  private help(): void {
    const box = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"),
      h("dl", {}, KEYS.map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)])),
      h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")));
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
  }
}
