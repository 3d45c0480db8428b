// What is there at a position: a walk over the timeline, by the rules of the ledger's own lineage.

export type Field = "artifact.runs" | "run.inputs" | "collection.artifacts";
export type Direction = "ancestors" | "descendants" | "both";
export type State = [from: number, state: number, retraction: string | null, status: string, mark: string];
export interface Entry {
  uid: string; registry: string; slot: number; created: number; at: number; by: string;
  names: [number, string][]; states: State[]; is_keyed: boolean;
  revises?: string; size?: number; script?: string; title?: string; params?: Record<string, string>;
}
export type Link = [field: Field, holder: number, target: number, from: number, to: number | null];
export interface Timeline {
  head: number; direction: Direction; is_complete: boolean; starts: [number, number | null][];
  nodes: Entry[]; links: Link[];
  slots: { registry: string; label: string; group: number }[]; groups: string[];
}
export type Edge = [source: number, target: number, kind: string];
export interface Found { start: number | null; nodes: Set<number>; edges: Edge[] }
export interface Compared {
  pairs: Map<number, number>; marks: Map<number, "new" | "changed">; gone: Set<number>;
}

const ENDS: Record<Field, [string, string]> = {
  "artifact.runs": ["artifact", "run"],
  "run.inputs": ["run", "artifact"],
  "collection.artifacts": ["collection", "artifact"],
};
const WITHDRAWN = 2;

export function last<T extends [number, ...unknown[]]>(items: T[], position: number): T | null {
  let found: T | null = null;
  for (const item of items) {
    if (item[0] > position) break;
    found = item;
  }
  return found;
}

export const startAt = (line: Timeline, position: number): number | null =>
  last(line.starts, position)?.[1] ?? null;
export const stateAt = (node: Entry, position: number): State | null => last(node.states, position);
export const nameAt = (node: Entry, position: number): string =>
  last(node.names, position)?.[1] || node.title || node.uid;

/** The timeline with its links sorted by their ends, for many walks. */
export class Walker {
  private readonly onward: number[][];
  private readonly back: number[][];
  private readonly number = new Map<string, number>();

  constructor(readonly line: Timeline) {
    this.onward = line.nodes.map(() => []);
    this.back = line.nodes.map(() => []);
    line.links.forEach(([, holder, target], place) => {
      this.onward[holder]!.push(place);
      this.back[target]!.push(place);
    });
    line.nodes.forEach((node, place) => this.number.set(node.uid, place));
  }

  /** Everything of the lineage at a position; a depth counts artifacts, null is all the way. */
  at(position: number, direction: Direction, depth: number | null = null, from?: number): Found {
    const start = from ?? startAt(this.line, position);
    const nodes = new Set<number>();
    if (start === null) return { start, nodes, edges: [] };
    nodes.add(start);
    const links = new Set<number>();
    if (direction !== "descendants") this.steps(position, start, true, depth, nodes, links);
    if (direction !== "ancestors") this.steps(position, start, false, depth, nodes, links);
    return { start, nodes, edges: this.edges(nodes, links, position) };
  }

  private steps(
    position: number, start: number, onward: boolean, depth: number | null,
    nodes: Set<number>, links: Set<number>,
  ): void {
    const kind = (place: number) => this.line.nodes[place]!.registry;
    const seen = new Set([start]);
    let here = new Set([start]);
    for (let step = 0; here.size; step += 1) {
      const atTheEnd = depth !== null && step >= depth;
      const ahead = new Set<number>();
      while (here.size) {
        if (atTheEnd) here = new Set([...here].filter((it) => kind(it) !== "artifact"));
        const found = new Set<number>();
        const noted: number[] = [];
        for (const place of here) {
          for (const number of (onward ? this.onward : this.back)[place]!) {
            const [field, holder, target, from, to] = this.line.links[number]!;
            if (from > position || (to !== null && to <= position)) continue;
            const far = onward ? target : holder;
            if (atTheEnd && ENDS[field][onward ? 1 : 0] === "artifact" && !nodes.has(far)) continue;
            noted.push(number);
          }
        }
        for (const number of noted) {
          const [, holder, target] = this.line.links[number]!;
          links.add(number);
          for (const end of [holder, target]) {
            nodes.add(end);
            if (!seen.has(end)) found.add(end);
          }
        }
        here = new Set();
        for (const place of found) {
          seen.add(place);
          (kind(place) === "artifact" ? ahead : here).add(place);
        }
      }
      here = ahead;
    }
  }

  private edges(nodes: Set<number>, links: Set<number>, position: number): Edge[] {
    const first = new Map<number, number>();
    for (const number of links) {
      const [field, holder, , from] = this.line.links[number]!;
      if (field === "artifact.runs") first.set(holder, Math.min(from, first.get(holder) ?? from));
    }
    const edges: Edge[] = [];
    for (const number of links) {
      const [field, holder, target, from] = this.line.links[number]!;
      const kind = field === "run.inputs" ? "input" : field === "collection.artifacts" ? "member"
        : from === first.get(holder) ? "output" : "output again";
      edges.push([target, holder, kind]);
    }
    for (const place of nodes) {
      const node = this.line.nodes[place]!;
      const before = node.revises === undefined ? undefined : this.number.get(node.revises);
      const state = stateAt(node, position);
      if (before !== undefined && nodes.has(before) && state && state[1] < WITHDRAWN)
        edges.push([before, place, "revision"]);
    }
    return edges;
  }

  /** What came, went and changed upstream between two positions, as the ledger pairs records. */
  compare(earlier: Found, a: number, later: Found, b: number): Compared {
    const before = this.records(earlier, a), after = this.records(later, b);
    const pairs = this.paired(before, a, after, b);
    const partner = new Map([...pairs].map(([old, now]) => [now, old]));
    const marks = new Map<number, "new" | "changed">();
    for (const place of after.order) {
      const was = partner.get(place);
      if (was === undefined) marks.set(place, "new");
      else if (was !== place || this.differs(place, before, a, after, b, pairs)) marks.set(place, "changed");
    }
    return { pairs, marks, gone: new Set(before.order.filter((it) => !pairs.has(it))) };
  }

  private differs(
    place: number, before: Side, a: number, after: Side, b: number, pairs: Map<number, number>,
  ): boolean {
    const node = this.line.nodes[place]!;
    const old = stateAt(node, a), now = stateAt(node, b);
    if (old?.[2] !== now?.[2] || old?.[3] !== now?.[3] || old?.[4] !== now?.[4]) return true;
    if (this.named(place, a) !== this.named(place, b)) return true;
    const were = (before.inputs.get(place) ?? []).map((it) => pairs.get(it) ?? it).sort();
    return were.join() !== [...(after.inputs.get(place) ?? [])].sort().join();
  }

  private named(place: number, position: number): string {
    const node = this.line.nodes[place]!;
    return (node.registry !== "artifact" || node.is_keyed) ? last(node.names, position)?.[1] ?? "" : "";
  }

  private records(found: Found, position: number): Side {
    const order = [...found.nodes].sort((a, b) => a - b).filter((place) => {
      const state = stateAt(this.line.nodes[place]!, position);
      return state !== null && state[1] < WITHDRAWN;
    });
    const inputs = new Map<number, number[]>(), outputs = new Map<number, number[]>();
    const there = (map: Map<number, number[]>, key: number) => {
      if (!map.has(key)) map.set(key, []);
      return map.get(key)!;
    };
    for (const [source, target, kind] of [...found.edges].sort((one, two) => one[1] - two[1])) {
      if (kind === "input") there(inputs, target).push(source);
      else if (kind.startsWith("output")) there(outputs, source).push(target);
    }
    return { order, inputs, outputs };
  }

  private paired(before: Side, a: number, after: Side, b: number): Map<number, number> {
    const nodes = this.line.nodes;
    const there = new Set(after.order);
    const pairs = new Map(before.order.filter((it) => there.has(it)).map((it) => [it, it]));
    const stem = (place: number): string => nodes[place]!.uid.slice(0, 16);
    const families = (place: number, uids: number[]): string | null =>
      uids.length === 0 ? null
        : [nodes[place]!.script, ...uids.map((it) => stem(pairs.get(it) ?? it)).sort()].join();
    const pair = (isRun: boolean, name: (side: Side, place: number, at: number) => string | null) => {
      const waiting = new Map<string, number[]>();
      const taken = new Set(pairs.values());
      for (const place of after.order) {
        if (taken.has(place) || (nodes[place]!.registry === "run") !== isRun) continue;
        const key = name(after, place, b);
        if (key !== null) waiting.set(key, [...(waiting.get(key) ?? []), place]);
      }
      for (const place of [...before.order].reverse()) {
        if (pairs.has(place) || (nodes[place]!.registry === "run") !== isRun) continue;
        const key = name(before, place, a);
        const found = key === null ? undefined : waiting.get(key)?.pop();
        if (found !== undefined) pairs.set(place, found);
      }
    };
    pair(false, (_, it) => `${nodes[it]!.registry} ${stem(it)}`);
    pair(false, (_, it, at) => `${nodes[it]!.registry} ${this.named(it, at) || nodes[it]!.uid}`);
    pair(true, (side, it) => families(it, (side.outputs.get(it) ?? []).slice(0, 1)));
    pair(true, (side, it) => families(it, side.inputs.get(it) ?? []));
    const runs = [...pairs.values()].filter((it) => nodes[it]!.registry === "run");
    const settled = new Set(runs.map((it) => nodes[it]!.script));
    const open = (it: number) => !settled.has(nodes[it]!.script);
    pair(true, (_, it, at) => open(it) ? `${nodes[it]!.script} ${this.named(it, at)}` : null);
    pair(true, (_, it) => open(it) ? `${nodes[it]!.script}` : null);
    return pairs;
  }
}

interface Side { order: number[]; inputs: Map<number, number[]>; outputs: Map<number, number[]> }
