// The board: a column for each status, a lane for each workstream; a task is dragged, or moved by keys.
import { place } from "../lib/api.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib/dom.js";
import { CommandDialog, numbered } from "../lib/form.js";
import { useAnswer } from "../lib/live.js";
import { AgentNames } from "../lib/names.js";
import { Empty, Failure, When } from "../lib/parts.js";
import { VirtualList, useNear } from "../lib/virtual.js";
import { useTasks } from "../lib/tasks.js";
import { MoveDialog, useMoves } from "./board-moves.js";
import { INPUTS } from "./task-facts.js";
import { COLUMNS, lanesOf } from "./board-order.js";
import { useQuery } from "../lib/address.js";

const CARD = 78; // pixels; as in board.css
const LANE_CARDS = 4; // so many are in sight in a lane
const NEAR_LANES = 2; // so many are filled before it is known which are in sight
const OPEN_LANES = 8; // with more lanes they begin closed, but for the first ones

/** The view. */
export function View() {
  const { tasks, isWhole } = useTasks();
  const [query, change] = useQuery({ text: "", lanes: "yes" });
  const isLanes = query.lanes === "yes";
  const lanes = useMemo(() => lanesOf(tasks, query.text, isLanes), [tasks, query.text, isLanes]);
  const moves = useMoves(tasks);
  const drag = useDrag(moves.move);
  const onKeyDown = useKeys(tasks, moves.choose);
  const [adding, setAdding] = useState(null);
  useAddKey(() => setAdding("task"));
  const add = (what) => html`<button type="button" disabled=${place.isReadOnly} onClick=${() => setAdding(what)}>Add a ${what}</button>`;
  return html`
    <div class="head">
      <h1 tabindex="-1">Board</h1>
      <label class="board-filter">Filter <input type="search" value=${query.text} onInput=${(event) => change({ text: event.currentTarget.value })} /></label>
      <label class="check"><input type="checkbox" checked=${isLanes} onChange=${(event) => change({ lanes: event.currentTarget.checked ? "yes" : "no" })} />Lanes by workstream</label>
      ${add("task")} ${add("workstream")}
      ${tasks && !isWhole && html`<span class="hint" role="status">Reading the other tasks…</span>`}
    </div>
    ${adding && html`<${ADDED[adding]} onClose=${() => setAdding(null)} />`}
    ${tasks === null
      ? html`<${Empty}>Reading the tasks…<//>`
      : lanes.count === 0
        ? html`<${Empty}>${!isWhole ? "Reading the tasks…" : tasks.size ? "No task has this text." : "There are no tasks yet."}<//>`
        : html`<${Lanes} lanes=${lanes} isWhole=${isWhole} isLanes=${isLanes} drag=${drag} moves=${moves} onKeyDown=${onKeyDown} />`}
    ${moves.chosen && html`<${MoveDialog} task=${moves.chosen} onMove=${moves.moveChosen} onClose=${() => moves.choose(null)} />`}
    ${moves.asked && html`<${AgentNames} /><${CommandDialog} ...${moves.asked} />`}`;
}

const isShort = (input) => ["title", "description", "priority", "labels"].includes(input.name);
const SHORT = INPUTS.filter(isShort).map((input) => (input.name === "title" ? { ...input, required: true } : input));
const LONG = INPUTS.filter((input) => !isShort(input));
const STREAM = [
  { name: "name", label: "Name", required: true },
  { name: "description", label: "What it is for" },
  { name: "priority", label: "Priority: 1 comes first; 5 if not given", given: numbered },
];

function AddTask({ onClose }) {
  const streams = useAnswer("workstream list", { fields: "name" });
  if (streams.error) return html`<${Failure} error=${streams.error} />`;
  if (!streams.value) return null;
  const names = streams.value.map(({ name }) => name);
  // The first task of a board makes a workstream too, if there is none.
  const how = names.length
    ? { command: "task add", fields: [{ name: "workstream", label: "Workstream", options: names }, ...SHORT] }
    : { command: "add", fields: SHORT.map((input) => (input.name === "title" ? { ...input, name: "words" } : input)) };
  return html`<${CommandDialog} title="Add a task" label="Add" ...${how} more=${LONG} onClose=${onClose} />`;
}

const AddWorkstream = ({ onClose }) => html`<${CommandDialog} title="Add a workstream" label="Add" command="workstream create" fields=${STREAM} onClose=${onClose} />`;

const ADDED = { task: AddTask, workstream: AddWorkstream };

/** `n` adds a task, wherever the focus is in the view. */
function useAddKey(add) {
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.key !== "n" || event.ctrlKey || event.metaKey || event.altKey || place.isReadOnly || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      add();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

function Lanes({ lanes, isWhole, isLanes, drag, moves, onKeyDown }) {
  // An empty column is narrow, but a task can be dropped there. Which are empty, and how many there are, all tasks tell.
  const count = (number) => (isWhole ? number : "…");
  const columns = COLUMNS.map(([status]) => (lanes.counts[status] || !isWhole ? "minmax(var(--column), 1fr)" : "3.5rem")).join(" ");
  return html`
    <div class=${`board${drag.id ? " is-dragging" : ""}${isLanes ? " has-lanes" : ""}`} onKeyDown=${onKeyDown} ...${drag.handlers}>
      <div class="board-row board-columns" style=${{ gridTemplateColumns: columns }}>
        ${COLUMNS.map(([status, name]) => html`<h2 key=${status} class=${`board-column ${status}${lanes.counts[status] || !isWhole ? "" : " is-empty"}`}>${name} <span class="board-count">${count(lanes.counts[status])}</span></h2>`)}
      </div>
      ${lanes.all.map((lane, number) => html`<${Lane} key=${lane.name} lane=${lane} columns=${columns} isNamed=${isLanes} count=${count(lane.count)} number=${number} drag=${drag} moves=${moves} />`)}
    </div>`;
}

function Lane({ lane, columns, isNamed, count, number, drag, moves }) {
  const [isOpen, setIsOpen] = useState(number < OPEN_LANES);
  const [box, isNear] = useNear(number < NEAR_LANES);
  const most = Math.max(...COLUMNS.map(([status]) => lane.cells[status].length));
  const height = isNamed ? { height: `${Math.min(most, LANE_CARDS + 0.5) * CARD + 8}px` } : {};
  return html`
    <section class="board-lane" ref=${box} aria-label=${isNamed ? `Workstream ${lane.name}` : "All workstreams"}>
      ${isNamed && html`
        <h3 class="board-lane-name"><button type="button" class="quiet" aria-expanded=${isOpen} onClick=${() => setIsOpen(!isOpen)}><span aria-hidden="true">${isOpen ? "▾" : "▸"}</span> <bdi>${lane.name}</bdi> <span class="board-count">${count}</span></button></h3>`}
      ${(isOpen || !isNamed) && html`
        <div class="board-row board-cells" style=${{ gridTemplateColumns: columns, ...height }}>
          ${COLUMNS.map(([status, name]) => html`
            <div key=${status} class=${`board-cell${drag.over === `${lane.name} ${status}` ? " is-over" : ""}`} data-status=${status} data-lane=${lane.name}>
              ${isNear && lane.cells[status].length > 0 && html`<${Cell} tasks=${lane.cells[status]} label=${isNamed ? `${name}, ${lane.name}` : name} drag=${drag} moves=${moves} />`}
            </div>`)}
        </div>`}
    </section>`;
}

function Cell({ tasks, label, drag, moves }) {
  // One card of a cell is in the order of Tab; the arrow keys reach the others.
  const [active, setActive] = useState(null);
  const isThere = active !== null && tasks.some((task) => task.id === active);
  const row = (task, index) => html`<${Card} task=${task} isActive=${isThere ? task.id === active : index === 0} isDragged=${drag.id === task.id} isMoving=${moves.moving.has(task.id)} onFocus=${setActive} onMove=${moves.choose} />`;
  const { revealed } = moves;
  const reveal = revealed && tasks.some((task) => task.id === revealed.id && task.status !== revealed.from) ? revealed.id : null;
  return html`<${VirtualList} items=${tasks} height=${CARD} row=${row} itemKey=${(task) => task.id} label=${label} reveal=${reveal} onRevealed=${moves.onRevealed} />`;
}

function Card({ task, isActive, isDragged, isMoving, onFocus, onMove }) {
  const isLate = task.due && !task.ended_at && Date.parse(task.due) < Date.now();
  return html`
    <article class=${`card ${task.status}${isDragged ? " is-dragged" : ""}`} draggable=${!place.isReadOnly} data-task=${task.id} aria-busy=${isMoving} onFocusIn=${() => onFocus(task.id)}>
      <a class="card-title" href=${`/tasks/${encodeURIComponent(task.id)}`} tabindex=${isActive ? 0 : -1} draggable=${false} title=${task.title}>${task.title}</a>
      <p class="card-facts">
        <span title="Priority">P${task.priority}</span>
        ${task.assigned_to && html` <bdi class="card-agent">${task.assigned_to}</bdi>`}
        ${task.open_needs > 0 && html` <span>waits for ${task.open_needs}</span>`}
        ${task.due && !task.ended_at && html` <span class=${isLate ? "bad" : ""}>${isLate ? "overdue " : "due "}<${When} moment=${task.due} /></span>`}
        ${" "}<code>${task.id}</code>
      </p>
      ${!place.isReadOnly && html`<button type="button" class="quiet card-move" tabindex=${isActive ? 0 : -1} aria-label=${`Move ${task.title}`} title="Move (m)" onClick=${() => onMove(task)}>⋯</button>`}
    </article>`;
}

/**
 * Dragging with the mouse. What is dragged is kept here and not in the card, because the card goes away when
 * another person moves the task meanwhile.
 */
function useDrag(move) {
  const dragged = useRef(null);
  const [id, setId] = useState(null);
  const [over, setOver] = useState("");
  const end = useCallback(() => {
    dragged.current = null;
    setId(null);
    setOver("");
  }, []);
  useEffect(() => {
    // Should no end have come, the next press of a button shows that there was one.
    addEventListener("pointerdown", end);
    return () => removeEventListener("pointerdown", end);
  }, []);
  const cellOf = (event) => event.target.closest?.(".board-cell");
  const onOver = (event) => {
    const cell = cellOf(event);
    if (!dragged.current || !cell) return;
    event.preventDefault();
    setOver(`${cell.dataset.lane} ${cell.dataset.status}`);
  };
  const handlers = {
    onDragEnter: onOver,
    onDragOver: onOver,
    onDragStart: (event) => {
      const card = event.target.closest?.(".card");
      if (!card) return;
      const from = card.closest(".board-cell").dataset.status;
      dragged.current = { id: card.dataset.task, from };
      card.addEventListener("dragend", end, { once: true });
      event.dataTransfer.setData("text/plain", card.dataset.task);
      event.dataTransfer.effectAllowed = "move";
      // A card that changes while the drag begins would end it.
      setTimeout(() => dragged.current && setId(dragged.current.id));
    },
    onDrop: (event) => {
      const cell = cellOf(event);
      if (!dragged.current || !cell) return;
      event.preventDefault();
      const { id, from } = dragged.current;
      end();
      // From the status that the person has seen: what has changed meanwhile is for the rules to say.
      if (cell.dataset.status !== from) move(id, from, cell.dataset.status);
    },
  };
  return { id, over, handlers };
}

/** Left and right to the next column with a card of this lane, `m` to move. Up and down are those of the list. */
function useKeys(tasks, choose) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const card = event.target.closest?.(".card");
    if (!card) return;
    if (event.key === "m" && !place.isReadOnly) {
      event.preventDefault();
      choose(tasks.get(card.dataset.task));
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const cells = [...card.closest(".board-cells").querySelectorAll(".board-cell")];
    let next = cells.indexOf(card.closest(".board-cell")) + step;
    while (cells[next] && !cells[next].querySelector(".card")) next += step;
    if (!cells[next]) return;
    event.preventDefault();
    const top = card.getBoundingClientRect().top;
    const distance = (each) => Math.abs(each.getBoundingClientRect().top - top);
    const nearest = [...cells[next].querySelectorAll(".card")].reduce((best, each) => (distance(each) < distance(best) ? each : best));
    nearest.querySelector("a").focus();
  };
}
