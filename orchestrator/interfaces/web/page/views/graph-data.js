// The tasks and links of the graph by id, and their layout from the worker.
import { useEffect, useMemo, useState } from "../lib/dom.js";

/** The most tasks that are drawn at once. */
export const MOST = 1000;

// The policy of the page lets no other text become a program.
const trusted = globalThis.trustedTypes?.createPolicy("worker", { createScriptURL: (url) => url });
const ADDRESS = new URL("./graph-layout.js", import.meta.url).href;
const PROGRAM = trusted ? trusted.createScriptURL(ADDRESS) : ADDRESS;

const NOTHING = { structure: null, places: new Map(), lines: [], width: 0, height: 0, isReady: false };

/** An answer of `task graph` with its links by task; null before there is one. */
export function useLinks(answer) {
  return useMemo(() => {
    if (!answer) return null;
    const { tasks, critical } = answer;
    const edges = new Map();
    const below = new Map(tasks.map((task) => [task.id, []]));
    const above = new Map(tasks.map((task) => [task.id, []]));
    for (const edge of answer.edges) {
      const key = `${edge.task} ${edge.kind} ${edge.other}`;
      if (edge.task === edge.other || edges.has(key)) continue;
      const kept = { ...edge, key };
      edges.set(key, kept);
      below.get(edge.task).push(kept);
      above.get(edge.other).push(kept);
    }
    const place = new Map(critical.map((id, number) => [id, number + 1]));
    return { tasks, edges, below, above, critical, place };
  }, [answer]);
}

/** The layout of a graph. It is computed anew only when tasks or links come or go, not when they change. */
export function useLayout(graph) {
  const [drawn, setDrawn] = useState(NOTHING);
  const structure = useMemo(
    () => JSON.stringify([graph.tasks.map((task) => task.id), [...graph.edges.keys()]]),
    [graph],
  );
  useEffect(() => {
    const worker = new Worker(PROGRAM, { type: "module" });
    let next = { ...NOTHING, structure };
    worker.onmessage = ({ data: { drawn: part, x, y, isLast } }) => {
      const places = new Map(next.places);
      for (const [id, left, top] of part.places) places.set(id, [left + x, top + y]);
      const lines = part.lines.map(([key, points]) => [key, curve(points.map(([left, top]) => [left + x, top + y]))]);
      next = {
        structure,
        places,
        lines: [...next.lines, ...lines],
        width: Math.max(next.width, x + part.width),
        height: Math.max(next.height, y + part.height),
        isReady: isLast,
      };
      // The old drawing stays until the new one is whole; the first one grows part by part.
      setDrawn((before) => (isLast || !before.isReady ? next : before));
      if (isLast) worker.terminate();
    };
    const edges = [...graph.edges.values()].map(({ key, task, other }) => ({ key, from: other, to: task }));
    worker.postMessage({ ids: graph.tasks.map((task) => task.id), edges });
    return () => worker.terminate();
  }, [structure]);
  return { ...drawn, isReady: drawn.isReady && drawn.structure === structure };
}

/** A smooth line through points: what an SVG path draws. */
function curve(points) {
  const [[x, y], ...rest] = points;
  let path = `M${Math.round(x)} ${Math.round(y)}`;
  rest.forEach(([left, top], number) => {
    const next = rest[number + 1];
    if (!next) path += ` L${Math.round(left)} ${Math.round(top)}`;
    else path += ` Q${Math.round(left)} ${Math.round(top)} ${Math.round((left + next[0]) / 2)} ${Math.round((top + next[1]) / 2)}`;
  });
  return path;
}

/** A text in two lines of at most so many letters. */
export function wrapped(text, most) {
  const letters = [...text];
  if (letters.length <= most) return [text, ""];
  const space = letters.lastIndexOf(" ", most);
  const cut = space > most / 2 ? space : most;
  const rest = letters.slice(cut).join("").trim();
  const shown = [...rest];
  return [letters.slice(0, cut).join(""), shown.length > most ? `${shown.slice(0, most - 1).join("")}…` : rest];
}
