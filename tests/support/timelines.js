// Walks over timelines as the page does: a JSON document in, one out; see tests/e2e/test_timeline.py.

import { Walker } from "../../ledger/web/static/walk.js";

let text = "";
for await (const part of process.stdin) text += part;
const { line, positions, walks, comparisons } = JSON.parse(text);
const walker = new Walker(line);
const uid = (place) => line.nodes[place].uid;
const edge = ([source, target, kind]) => [uid(source), uid(target), kind];

process.stdout.write(JSON.stringify({
  walks: walks.map(([position, depth]) => {
    const found = walker.at(position, line.direction, depth);
    return {
      start: found.start === null ? null : uid(found.start),
      nodes: [...found.nodes].map(uid).sort(),
      edges: found.edges.map(edge).sort(),
    };
  }),
  comparisons: comparisons.map(([a, b]) => {
    const found = walker.compare(walker.at(a, "ancestors"), a, walker.at(b, "ancestors"), b);
    return {
      pairs: [...found.pairs].map(([one, two]) => [uid(one), uid(two)]).sort(),
      added: [...found.marks].filter(([, mark]) => mark === "new").map(([it]) => uid(it)).sort(),
      changed: [...found.marks].filter(([, mark]) => mark === "changed").map(([it]) => uid(it)).sort(),
      removed: [...found.gone].map(uid).sort(),
    };
  }),
}));
