// The time of the log: positions and times, told by the server once in slices.

import type { Moments } from "./shapes";

export class Time {
  constructor(readonly told: Moments) {}

  get head(): number { return this.told.head; }

  /** About when a position was recorded, in milliseconds; exact where the server told it. */
  at(position: number): number {
    const all = this.told.moments;
    if (!all.length) return 0;
    let low = 0, high = all.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (all[middle]![0] <= position) low = middle;
      else high = middle - 1;
    }
    const [a, from] = all[low]!, [b, to] = all[Math.min(low + 1, all.length - 1)]!;
    return a === b ? from : from + ((to - from) * (position - a)) / (b - a);
  }

  isExact(position: number): boolean {
    return this.told.moments.some(([it]) => it === position);
  }

  /** The share of the axis at which a position stands. */
  share(position: number, byTime: boolean): number {
    if (!byTime) return this.head ? position / this.head : 0;
    const first = this.at(1), last = this.at(this.head);
    return position <= 0 || last === first ? 0 : (this.at(position) - first) / (last - first);
  }

  /** The position that stands at a share of the axis. */
  position(share: number, byTime: boolean): number {
    if (!byTime) return Math.round(share * this.head);
    let low = 0, high = this.head;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.share(middle, true) <= share + 1e-9) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
