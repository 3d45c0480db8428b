// Where the cards of a picture stand. It is computed once, on everything that ever was, so that no
// card moves while the slider does.

import dagre from "@dagrejs/dagre";

export interface Place { x: number; y: number }
export interface Layout { places: Place[]; lines: Place[][]; width: number; height: number }

export const CARD = { width: 200, height: 44 };
const MOST_FOR_DAGRE = 300;

export function laidOut(count: number, lines: [number, number][], downwards: boolean): Layout {
  return count > MOST_FOR_DAGRE ? inLayers(count, lines) : byDagre(count, lines, downwards);
}

function byDagre(count: number, lines: [number, number][], downwards: boolean): Layout {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: downwards ? "TB" : "LR", ranker: "longest-path", nodesep: downwards ? 22 : 12,
    ranksep: downwards ? 26 : 56, marginx: 14, marginy: 14,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (let card = 0; card < count; card += 1) graph.setNode(String(card), { ...CARD });
  for (const [source, target] of lines) graph.setEdge(String(source), String(target));
  dagre.layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    places: Array.from({ length: count }, (_, card) => {
      const node = graph.node(String(card)) as Place;
      return { x: node.x, y: node.y };
    }),
    lines: lines.map(([source, target]) =>
      (graph.edge(String(source), String(target)) as { points: Place[] }).points),
    width: size.width ?? 0, height: size.height ?? 0,
  };
}

/** For very many cards: layers by the longest way, in the order of their neighbours' middle. */
function inLayers(count: number, lines: [number, number][]): Layout {
  const before: number[][] = Array.from({ length: count }, () => []);
  const after: number[][] = Array.from({ length: count }, () => []);
  for (const [source, target] of lines) {
    before[target]!.push(source);
    after[source]!.push(target);
  }
  const layer = new Array<number>(count).fill(0);
  const waiting = before.map((it) => it.length);
  const free = waiting.flatMap((it, card) => (it === 0 ? [card] : []));
  for (let card = free.shift(); card !== undefined; card = free.shift()) {
    for (const next of after[card]!) {
      layer[next] = Math.max(layer[next]!, layer[card]! + 1);
      if ((waiting[next]! -= 1) === 0) free.push(next);
    }
  }
  const layers: number[][] = [];
  layer.forEach((it, card) => (layers[it] ??= []).push(card));
  const row = new Array<number>(count).fill(0);
  const number = (cards: number[]) => cards.forEach((card, place) => (row[card] = place - cards.length / 2));
  layers.forEach(number);
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const near = sweep % 2 ? after : before;
    for (const cards of sweep % 2 ? [...layers].reverse() : layers) {
      const middle = new Map(cards.map((card) => {
        const all = near[card]!;
        return [card, all.length ? all.reduce((sum, it) => sum + row[it]!, 0) / all.length : row[card]!];
      }));
      cards.sort((a, b) => middle.get(a)! - middle.get(b)! || a - b);
      number(cards);
    }
  }
  const most = Math.max(...layers.map((it) => it.length));
  const high = (most + 1) * (CARD.height + 12);
  const places = layer.map((it, card) => ({
    x: 20 + CARD.width / 2 + it * (CARD.width + 60), y: high / 2 + row[card]! * (CARD.height + 12),
  }));
  return {
    places, width: 40 + layers.length * (CARD.width + 60), height: high,
    lines: lines.map(([source, target]) => {
      const a = places[source]!, b = places[target]!;
      return [{ x: a.x + CARD.width / 2, y: a.y }, { x: b.x - CARD.width / 2, y: b.y }];
    }),
  };
}
