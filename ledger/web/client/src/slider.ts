// The slider over time: bars of what changed in this lineage, flags of tags, keys and buttons.

import { h, s, write } from "./dom";
import { count, moment } from "./moment";
import type { Time } from "./time";

const STEPS = 10_000;
const BARS = 120;

export interface Wishes {
  moved: (position: number) => void;
  compare: () => void;
  axis: (byTime: boolean) => void;
}

export class Slider {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  private readonly when = h("strong", {});
  private readonly where = h("span", { class: "quiet" });
  private readonly compareButton: HTMLButtonElement;
  private readonly playButton: HTMLButtonElement;
  private readonly bars = s("svg", { class: "bars", preserveAspectRatio: "none", viewBox: `0 0 ${BARS} 32`, "aria-hidden": "true" });
  private readonly flags = h("div", { class: "flagline" });
  private readonly from = h("span", { class: "from", hidden: true });
  private playing: number | null = null;
  private position = 0;
  private past = 0;

  constructor(
    readonly time: Time, private readonly changes: number[], private byTime: boolean,
    private readonly wishes: Wishes,
  ) {
    this.input = h("input", {
      type: "range", id: "slider", min: 0, max: byTime ? STEPS : time.head, step: 1,
      "aria-label": "Moment", oninput: () => this.go(this.read()),
    });
    this.compareButton = h("button", { class: "button", type: "button", id: "compare", onclick: () => wishes.compare() });
    this.playButton = h("button", {
      class: "button", type: "button", "aria-label": "Play", onclick: () => this.play(),
    }, "▶");
    const axis = h("button", {
      class: "button", type: "button", id: "axis", onclick: () => wishes.axis(!byTime),
    }, byTime ? "By time" : "By position");
    this.element = h("section", { class: "slider", "aria-label": "Time" },
      h("div", { class: "now" },
        h("button", { class: "button", type: "button", "aria-label": "Earlier change", onclick: () => this.change(-1) }, "‹"),
        h("p", {}, this.when, this.where),
        h("button", { class: "button", type: "button", "aria-label": "Later change", onclick: () => this.change(1) }, "›"),
        this.playButton),
      h("div", { class: "axis" }, this.flags, this.bars, this.from, this.input),
      h("div", { class: "buttons" }, axis, this.compareButton));
    this.drawBars();
    for (const tag of time.told.tags) {
      const flag = h("button", {
        class: "tag", type: "button", title: `${tag.name}, position ${count(tag.position)}`,
        onclick: () => this.go(tag.position),
      }, `⚑ ${tag.name}`);
      const share = time.share(tag.position, byTime);
      flag.style.left = `${share * 100}%`;
      if (share > 0.8) flag.classList.add("late");
      this.flags.append(flag);
    }
  }

  private drawBars(): void {
    const tall = new Array<number>(BARS).fill(0);
    for (const it of this.changes)
      tall[Math.min(BARS - 1, Math.floor(this.time.share(it, this.byTime) * BARS))]! += 1;
    const most = Math.max(1, ...tall);
    tall.forEach((it, place) => {
      const high = it ? 4 + 28 * Math.sqrt(it / most) : 1;
      this.bars.append(s("rect", { x: place + 0.15, width: 0.7, y: 32 - high, height: high }));
    });
  }

  private read(): number {
    const value = Number(this.input.value);
    return this.byTime ? this.time.position(value / STEPS, true) : value;
  }

  go(position: number): void {
    const there = Math.max(0, Math.min(this.time.head, position));
    if (there !== this.position) this.wishes.moved(there);
  }

  /** To the change of this lineage before or after the present one. */
  change(way: 1 | -1): void {
    const found = way > 0 ? this.changes.find((it) => it > this.position)
      : [...this.changes].reverse().find((it) => it < this.position);
    if (found !== undefined) this.go(found);
  }

  tag(way: 1 | -1): void {
    const all = this.time.told.tags.map((it) => it.position).sort((a, b) => a - b);
    const found = way > 0 ? all.find((it) => it > this.position)
      : all.reverse().find((it) => it < this.position);
    if (found !== undefined) this.go(found);
  }

  play(): void {
    if (this.playing !== null) return this.stop();
    if (this.position >= (this.changes.at(-1) ?? 0)) this.go(0);
    write(this.playButton, "⏸");
    this.playButton.setAttribute("aria-label", "Pause");
    this.playing = window.setInterval(() => {
      const before = this.position;
      const step = Math.max(1, Math.ceil(this.changes.length / 100));
      for (let it = 0; it < step; it += 1) this.change(1);
      if (this.position === before) this.stop();
    }, 120);
  }

  stop(): void {
    if (this.playing !== null) window.clearInterval(this.playing);
    this.playing = null;
    write(this.playButton, "▶");
    this.playButton.setAttribute("aria-label", "Play");
  }

  show(position: number, compare: number | null, at: string | number | null): void {
    this.position = position;
    const value = this.byTime ? Math.round(this.time.share(position, true) * STEPS) : position;
    if (this.read() !== position) this.input.value = String(value);
    const when = position === 0 ? "the beginning" : moment(at ?? this.time.at(position));
    const text = `${when}, position ${position}`;
    if (this.input.getAttribute("aria-valuetext") !== text) this.input.setAttribute("aria-valuetext", text);
    write(this.when, position === this.time.head ? `Now · ${when}` : when);
    write(this.where, `position ${count(position)} of ${count(this.time.head)}`);
    const share = this.time.share(position, this.byTime);
    const past = Math.min(BARS, Math.floor(share * BARS) + 1);
    for (let bar = Math.min(past, this.past); bar < Math.max(past, this.past); bar += 1)
      this.bars.children[bar]!.setAttribute("class", bar < past ? "past" : "");
    this.past = past;
    write(this.compareButton, compare === null ? "Compare from here" : "Stop comparing");
    this.from.hidden = compare === null;
    if (compare !== null) this.from.style.left = `${this.time.share(compare, this.byTime) * 100}%`;
  }
}
