// A worker: it computes the layout of the graph, so that the page never waits for it.
//
// Each connected part is laid out alone, because the time grows faster than the size of a part, and is
// answered when it is ready. Tasks without a link need no layout: they stand in rows below.
import { Graph, layout } from "../vendor/dagre/dagre.js";
import { HEIGHT, WIDTH } from "./graph-size.js";

const GAP = 24;
const LARGE = 150; // tasks from which the faster way to rank them is worth its wider drawing

/** The connected parts of a graph, largest first: [{ids, edges}]. */
function parts(ids, edges) {
  const root = new Map(ids.map((id) => [id, id]));
  const find = (id) => {
    while (root.get(id) !== id) {
      root.set(id, root.get(root.get(id)));
      id = root.get(id);
    }
    return id;
  };
  for (const edge of edges) root.set(find(edge.from), find(edge.to));
  const byRoot = new Map();
  const part = (id) => {
    const key = find(id);
    if (!byRoot.has(key)) byRoot.set(key, { ids: [], edges: [] });
    return byRoot.get(key);
  };
  for (const id of ids) part(id).ids.push(id);
  for (const edge of edges) part(edge.from).edges.push(edge);
  return [...byRoot.values()].sort((one, other) => other.ids.length - one.ids.length);
}

/** The links that no longer way along other links stands for: each one costs time along all that it passes. */
function essential({ ids, edges }) {
  const next = new Map(ids.map((id) => [id, []]));
  for (const edge of edges) next.get(edge.from).push(edge.to);
  const isLongWay = ({ from, to }) => {
    const seen = new Set();
    const waiting = next.get(from).filter((id) => id !== to);
    while (waiting.length) {
      const id = waiting.pop();
      if (id === to) return true;
      if (seen.has(id)) continue;
      seen.add(id);
      waiting.push(...next.get(id));
    }
    return false;
  };
  return edges.filter((edge) => !isLongWay(edge));
}

/** The places of the tasks and the points of the links of a part, from (0, 0). */
function laidOut({ ids, edges }) {
  const graph = new Graph({ multigraph: true });
  const isLarge = ids.length > LARGE;
  const ranker = isLarge ? "tight-tree" : "network-simplex";
  graph.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 56, ranker });
  graph.setDefaultEdgeLabel(() => ({}));
  // Names of our own: an id such as `__proto__` would be no key of an object.
  const numbers = new Map(ids.map((id, number) => [id, `n${number}`]));
  for (const id of ids) graph.setNode(numbers.get(id), { width: WIDTH, height: HEIGHT });
  for (const edge of isLarge ? essential({ ids, edges }) : edges)
    graph.setEdge(numbers.get(edge.from), numbers.get(edge.to), {}, edge.key);
  layout(graph, { disableOptimalOrderHeuristic: isLarge });
  const places = ids.map((id) => {
    const { x, y } = graph.node(numbers.get(id));
    return [id, x, y];
  });
  const lines = edges.map((edge) => {
    const [from, to] = [numbers.get(edge.from), numbers.get(edge.to)];
    const { points } = graph.edge(from, to, edge.key) ?? straight(graph.node(from), graph.node(to));
    return [edge.key, points.map(({ x, y }) => [x, y])];
  });
  return { places, lines, width: graph.graph().width, height: graph.graph().height };
}

/** A link that was left out of the layout. */
function straight(from, to) {
  return { points: [{ x: from.x + WIDTH / 2, y: from.y }, { x: to.x - WIDTH / 2, y: to.y }] };
}

/** Rows of single tasks, as wide as the drawing above them. */
function rows(ids, width) {
  const most = Math.max(1, Math.floor((width + GAP) / (WIDTH + GAP)));
  const places = ids.map((id, number) => [
    id,
    (number % most) * (WIDTH + GAP) + WIDTH / 2,
    Math.floor(number / most) * (HEIGHT + GAP) + HEIGHT / 2,
  ]);
  const count = Math.min(most, ids.length);
  return {
    places,
    lines: [],
    width: count * (WIDTH + GAP) - GAP,
    height: Math.ceil(ids.length / most) * (HEIGHT + GAP) - GAP,
  };
}

self.onmessage = ({ data: { ids, edges } }) => {
  const all = parts(ids, edges);
  const linked = all.filter((part) => part.ids.length > 1);
  const single = all.filter((part) => part.ids.length === 1).flatMap((part) => part.ids);
  let [x, y, line, width] = [0, 0, 0, 0];
  const place = (drawn, isLast) => {
    // Small parts share a row as long as they fit below the largest one.
    if (x > 0 && x + drawn.width > Math.max(width, 1200)) [x, y, line] = [0, y + line + GAP, 0];
    self.postMessage({ drawn, x, y, isLast });
    x += drawn.width + GAP;
    line = Math.max(line, drawn.height);
    width = Math.max(width, x - GAP);
  };
  linked.forEach((part, index) =>
    place(laidOut(part), index === linked.length - 1 && !single.length),
  );
  if (single.length) {
    if (x > 0) [x, y, line] = [0, y + line + GAP, 0];
    place(rows(single, Math.max(width, 1200)), true);
  }
  if (!all.length) place({ places: [], lines: [], width: 0, height: 0 }, true);
};
