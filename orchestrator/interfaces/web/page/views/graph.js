// The dependencies as a drawing to scroll, zoom and walk through, and the same as a list.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib/dom.js";
import { useAnswer } from "../lib/live.js";
import { Badge, Empty, Failure, TaskLink } from "../lib/parts.js";
import { Groups } from "../lib/virtual.js";
import { MOST, useLayout, useLinks, wrapped } from "./graph-data.js";
import { HEIGHT, WIDTH } from "./graph-size.js";
import { useQuery } from "../lib/address.js";

const SMALLEST = 0.02;
const LARGEST = 3;

const KINDS = {
  needs: "needs",
  "needs-failure-of": "needs the failure of",
  parent: "is a part of",
  "waits-for": "waits for the parts of",
};

export function View() {
  const [query, setQuery] = useQuery({ workstream: "", task: "", text: "", ended: "", as: "drawing" });
  const { workstream, task, text, ended, as } = query;
  const args = { format: "json", limit: MOST, ended: ended === "yes" };
  if (workstream) args.workstream = workstream;
  if (task) args.task = task;
  const answer = useAnswer("task graph", args, ["task.", "workflow."]);
  const streams = useAnswer("workstream list", {}, ["workstream."]);
  const graph = useLinks(answer.value);
  const isShown = useCallback(
    (each) => !text || `${each.id} ${each.title} ${each.status} ${each.assigned_to ?? ""}`.toLowerCase().includes(text.toLowerCase()),
    [text],
  );
  const isList = as === "list";
  return html`
    <div class="graph-view">
      <header class="head">
        <h1>Graph</h1>
        <form class="bar graph-filter" role="search" aria-label="What the graph shows" onSubmit=${(event) => event.preventDefault()}>
          <label>Workstream
            <select value=${workstream} onChange=${(event) => setQuery({ workstream: event.currentTarget.value })}>
              <option value="">All</option>
              ${(streams.value ?? []).map((stream) => html`<option key=${stream.name} value=${stream.name} selected=${stream.name === workstream}>${stream.name}</option>`)}
            </select>
          </label>
          <label>Find
            <input type="search" value=${text} placeholder="Title, id, status, agent" onInput=${(event) => setQuery({ text: event.currentTarget.value })} />
          </label>
          <label class="check"><input type="checkbox" checked=${ended === "yes"} onChange=${(event) => setQuery({ ended: event.currentTarget.checked ? "yes" : "" })} /> Ended tasks too</label>
          <label class="check"><input type="checkbox" checked=${isList} onChange=${(event) => setQuery({ as: event.currentTarget.checked ? "list" : "drawing" })} /> As a list</label>
          ${task && html`<button type="button" onClick=${() => setQuery({ task: "" })}>All tasks, not only those connected with ${task}</button>`}
        </form>
      </header>
      ${answer.error && html`<${Failure} error=${answer.error} />`}
      ${!graph && !answer.error && html`<p role="status">Reading the tasks.</p>`}
      ${graph && !graph.tasks.length && html`<${Empty}>No open task is here.<//>`}
      ${graph && graph.tasks.length >= MOST && html`<p class="graph-note">The first ${MOST} tasks are shown. A workstream, or a task alone, shows fewer.</p>`}
      ${graph && graph.tasks.length > 0 && (isList
        ? html`<${List} graph=${graph} isShown=${isShown} />`
        : html`<${Drawing} graph=${graph} isShown=${isShown} text=${text} onlyWith=${(id) => setQuery({ task: id })} />`)}
    </div>`;
}

/** The graph as a table: each task, what it needs, what needs it. */
function List({ graph, isShown }) {
  const shown = graph.tasks.filter(isShown);
  const titles = new Map(graph.tasks.map((task) => [task.id, task.title]));
  const links = (ids) => ids.map((link) => html`<li key=${link.key}>${link.word} <${TaskLink} id=${link.id} title=${titles.get(link.id)} /></li>`);
  return html`
    <div class="graph-list">
      <p role="status">${shown.length} of ${graph.tasks.length} tasks. ${graph.critical.length ? `The critical path has ${graph.critical.length}.` : ""}</p>
      <table>
        <thead><tr><th scope="col">Task</th><th scope="col">Status</th><th scope="col">Waits for</th><th scope="col">Then</th></tr></thead>
        <${Groups} items=${shown} height=${44} row=${(task) => html`
            <tr key=${task.id}>
              <th scope="row"><${TaskLink} id=${task.id} title=${task.title} />${graph.place.has(task.id) && html` <span class="graph-critical-mark">critical path ${graph.place.get(task.id)}</span>`}</th>
              <td><${Badge} status=${task.status} /></td>
              <td><ul>${links(graph.below.get(task.id).map((edge) => ({ key: edge.key, id: edge.other, word: KINDS[edge.kind] ?? edge.kind })))}</ul></td>
              <td><ul>${links(graph.above.get(task.id).map((edge) => ({ key: edge.key, id: edge.task, word: "" })))}</ul></td>
            </tr>`} />
      </table>
    </div>`;
}

/** The graph as a drawing. One task of it is the current one: Tab reaches it, the arrow keys move on. */
function Drawing({ graph, isShown, text, onlyWith }) {
  const drawn = useLayout(graph);
  const frame = useRef(null);
  const [zoom, setZoom] = useState(1);
  const [current, setCurrent] = useState(null);
  const here = drawn.places.has(current) ? current : (graph.critical.find((id) => drawn.places.has(id)) ?? graph.tasks.find((task) => drawn.places.has(task.id))?.id ?? null);
  const near = useMemo(() => around(graph, current), [graph, current]);

  // A zoom keeps the point under the pointer, or the middle of the frame, where it is.
  const point = useRef(null);
  const zoomTo = useCallback((wanted, at) => {
    setZoom((before) => {
      const after = Math.min(LARGEST, Math.max(SMALLEST, typeof wanted === "function" ? wanted(before) : wanted));
      const box = frame.current;
      const [x, y] = at ?? [box.clientWidth / 2, box.clientHeight / 2];
      point.current = { x, y, left: ((box.scrollLeft + x) / before) * after, top: ((box.scrollTop + y) / before) * after };
      return after;
    });
  }, []);
  useEffect(() => {
    if (!point.current) return;
    const { x, y, left, top } = point.current;
    point.current = null;
    frame.current.scrollTo(left - x, top - y);
  }, [zoom]);
  const fit = useCallback(() => {
    const box = frame.current;
    zoomTo(Math.min(1, box.clientWidth / Math.max(drawn.width, 1), box.clientHeight / Math.max(drawn.height, 1)));
  }, [drawn, zoomTo]);
  usePinch(frame, zoomTo);
  const drag = useDrag(frame);

  const go = (id) => {
    if (!id) return;
    setCurrent(id);
    const node = frame.current.querySelector(`[data-task="${CSS.escape(id)}"]`);
    node?.focus();
    node?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const onKeyDown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = {
      ArrowLeft: () => go(nearest(drawn, graph, here, graph.below.get(here)?.map((edge) => edge.other))),
      ArrowRight: () => go(nearest(drawn, graph, here, graph.above.get(here)?.map((edge) => edge.task))),
      ArrowUp: () => go(beside(drawn, here, -1)),
      ArrowDown: () => go(beside(drawn, here, 1)),
      "+": () => zoomTo((before) => before * 1.25),
      "-": () => zoomTo((before) => before / 1.25),
      0: () => zoomTo(1),
      f: fit,
      o: () => here && onlyWith(here),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    next();
  };
  const [width, height] = [drawn.width + 48, drawn.height + 48];
  const matches = text ? graph.tasks.filter(isShown).length : graph.tasks.length;
  return html`
    <div class="bar graph-tools" role="group" aria-label="The drawing">
      <button type="button" onClick=${() => zoomTo((before) => before / 1.25)} aria-label="Smaller">−</button>
      <output aria-label="Zoom">${Math.round(zoom * 100)} %</output>
      <button type="button" onClick=${() => zoomTo((before) => before * 1.25)} aria-label="Larger">+</button>
      <button type="button" onClick=${() => zoomTo(1)}>100 %</button>
      <button type="button" onClick=${fit}>Fit</button>
      ${graph.critical.length > 0 && html`<button type="button" onClick=${() => go(graph.critical[0])}>Critical path: ${graph.critical.length} tasks</button>`}
      <p role="status">${drawn.isReady ? `${matches} of ${graph.tasks.length} tasks` : `Drawing ${graph.tasks.length} tasks`}</p>
    </div>
    <p class="graph-note" id="graph-keys">Arrow keys walk along the links, + and − zoom, f fits, o shows only what is connected, Enter opens a task.</p>
    <div class="graph-frame" ref=${frame} tabindex="0" role="region" aria-label="Drawing of the tasks; the list has the same" aria-describedby="graph-keys" onKeyDown=${onKeyDown} ...${drag}>
      <svg width=${width * zoom} height=${height * zoom} viewBox=${`-24 -24 ${width} ${height}`} role="group" aria-label="Tasks and their links">
        <defs>
          ${["plain", "critical"].map((kind) => html`
            <marker key=${kind} id=${`graph-arrow-${kind}`} class=${`graph-arrow ${kind}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" orient="auto-start-reverse">
              <path d="M0 0 L8 4 L0 8 z" />
            </marker>`)}
        </defs>
        <g aria-hidden="true">
          ${drawn.lines.map(([key, path]) => html`<${Line} key=${key} edge=${graph.edges.get(key)} path=${path} graph=${graph} near=${near} />`)}
        </g>
        <g role="list" aria-label="Tasks">
          ${graph.tasks.map((task) => drawn.places.has(task.id) && html`
            <${Node} key=${task.id} task=${task} place=${drawn.places.get(task.id)} isHere=${task.id === here} number=${graph.place.get(task.id)} isFaded=${!isShown(task) || (near !== null && !near.has(task.id))} onFocus=${setCurrent} />`)}
        </g>
      </svg>
    </div>`;
}

function Line({ edge, path, graph, near }) {
  if (!edge) return null; // the links changed, and the new layout is not ready
  const isCritical = graph.critical.length > 0 && graph.place.get(edge.task) === graph.place.get(edge.other) + 1;
  const isFaded = near !== null && !(near.has(edge.task) && near.has(edge.other));
  const kind = isCritical ? "critical" : "plain";
  return html`<path class=${`graph-line ${kind} ${edge.kind}${isFaded ? " faded" : ""}`} d=${path} marker-end=${`url(#graph-arrow-${kind})`} />`;
}

function Node({ task, place: [x, y], isHere, number, isFaded, onFocus }) {
  const [first, second] = wrapped(task.title, 28);
  const who = task.assigned_to ? `, ${task.assigned_to}` : "";
  const path = number ? `, critical path ${number}` : "";
  return html`
    <g role="listitem" class=${`graph-node ${task.status}${number ? " critical" : ""}${isFaded ? " faded" : ""}`} transform=${`translate(${x - WIDTH / 2} ${y - HEIGHT / 2})`}>
      <a href=${`/tasks/${encodeURIComponent(task.id)}`} data-task=${task.id} tabindex=${isHere ? 0 : -1} aria-label=${`${task.title}, ${task.status.replace("_", " ")}${who}${path}`} onFocus=${() => onFocus(task.id)}>
        <title>${task.title}</title>
        <rect width=${WIDTH} height=${HEIGHT} rx="6" />
        <rect class="graph-edge-bar" width="6" height=${HEIGHT} rx="3" />
        <text x="14" y="18" aria-hidden="true">${first}</text>
        <text x="14" y="33" aria-hidden="true">${second}</text>
        <text class="graph-small" x="14" y="49" aria-hidden="true">${`${task.status.replace("_", " ")}${who}`.slice(0, 36)}</text>
      </a>
    </g>`;
}

/** All tasks before and after a task, with it; null for none. */
function around(graph, id) {
  if (!id || !graph.below.has(id)) return null;
  const near = new Set([id]);
  for (const [links, end] of [[graph.below, "other"], [graph.above, "task"]]) {
    const waiting = [id];
    while (waiting.length)
      for (const edge of links.get(waiting.pop()) ?? [])
        if (!near.has(edge[end])) {
          near.add(edge[end]);
          waiting.push(edge[end]);
        }
  }
  return near;
}

/** Where an arrow key leads: along the critical path, else to the nearest task of these. */
function nearest(drawn, graph, id, ids = []) {
  const y = drawn.places.get(id)?.[1] ?? 0;
  const distance = (other) => (graph.place.has(other) ? -1 : Math.abs(drawn.places.get(other)[1] - y));
  return ids.filter((other) => drawn.places.has(other)).sort((one, other) => distance(one) - distance(other))[0];
}

/** The next task above or below: of the same column, else the nearest of all. */
function beside(drawn, id, step) {
  const [x, y] = drawn.places.get(id) ?? [0, 0];
  let [best, least] = [undefined, Infinity];
  for (const [other, [left, top]] of drawn.places) {
    const down = (top - y) * step;
    if (other === id || down <= 0) continue;
    const cost = down + 3 * Math.abs(left - x);
    if (cost < least) [best, least] = [other, cost];
  }
  return best;
}

/** Zoom by the wheel with Ctrl, and by two fingers. */
function usePinch(frame, zoomTo) {
  useEffect(() => {
    const box = frame.current;
    const inside = (x, y) => {
      const { left, top } = box.getBoundingClientRect();
      return [x - left, y - top];
    };
    const onWheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoomTo((before) => before * Math.exp(-event.deltaY / 300), inside(event.clientX, event.clientY));
    };
    let before = 0;
    const spread = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const onTouchStart = (event) => {
      if (event.touches.length === 2) before = spread(event.touches);
    };
    const onTouchMove = (event) => {
      if (event.touches.length !== 2 || !before) return;
      event.preventDefault();
      const [one, other] = event.touches;
      const after = spread(event.touches);
      const factor = after / before;
      before = after;
      zoomTo((zoom) => zoom * factor, inside((one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2));
    };
    // Handlers of the page's markup would be passive: they could not keep the browser from zooming.
    box.addEventListener("wheel", onWheel, { passive: false });
    box.addEventListener("touchstart", onTouchStart, { passive: true });
    box.addEventListener("touchmove", onTouchMove, { passive: false });
    return () => {
      box.removeEventListener("wheel", onWheel);
      box.removeEventListener("touchstart", onTouchStart);
      box.removeEventListener("touchmove", onTouchMove);
    };
  }, [frame, zoomTo]);
}

/** Scroll by dragging with the mouse; touch scrolls without this. */
function useDrag(frame) {
  const from = useRef(null);
  return {
    onPointerDown(event) {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      const { scrollLeft, scrollTop } = frame.current;
      from.current = { x: event.clientX, y: event.clientY, scrollLeft, scrollTop, isMoved: false };
    },
    onPointerMove(event) {
      if (!from.current) return;
      const [x, y] = [event.clientX - from.current.x, event.clientY - from.current.y];
      if (!from.current.isMoved) {
        if (Math.hypot(x, y) < 5) return;
        from.current.isMoved = true;
        frame.current.setPointerCapture(event.pointerId);
      }
      frame.current.scrollTo(from.current.scrollLeft - x, from.current.scrollTop - y);
    },
    onPointerUp() {
      // The click that ends a drag is not one on a task.
      if (from.current?.isMoved) frame.current.addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); }, { once: true, capture: true });
      from.current = null;
    },
    onPointerCancel() {
      from.current = null;
    },
    onDragStart(event) {
      event.preventDefault(); // links would be dragged in place of the drawing
    },
  };
}
