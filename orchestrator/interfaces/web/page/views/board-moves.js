// Moving a task to another status: each move is a command, and the rules of the board decide.
import { act } from "../lib/actions.js";
import { run } from "../lib/api.js";
import { html, useCallback, useRef, useState } from "../lib/dom.js";
import { Dialog } from "../lib/parts.js";
import { COLUMNS } from "./board-order.js";

// The command for a status, and those that lead there from certain others. Where none fits, the command of the
// status is tried all the same: the board answers with the sentence of the rule.
const COMMANDS = {
  pending: { any: "task release", blocked: "task unblock", done: "task reopen", failed: "task reopen", cancelled: "task reopen" },
  assigned: { any: "sling" },
  in_progress: { any: "task claim", in_review: "task reject" },
  in_review: { any: "task complete" },
  blocked: { any: "task block" },
  done: { any: "task complete", in_review: "task approve" },
  failed: { any: "task fail" },
  cancelled: { any: "task cancel" },
};

// What is asked for before a command runs.
const ASKED = {
  sling: { name: "to", label: "Who gets it?", required: true, list: "agents" },
  "task complete": { name: "result", label: "What is the result?" },
  "task fail": { name: "reason", label: "Why can it not be done?", required: true },
  "task block": { name: "reason", label: "What stands in the way?", required: true },
  "task reject": { name: "reason", label: "What is missing?", required: true },
  "task cancel": { name: "reason", label: "Why is it not wanted any more?" },
  "task reopen": { name: "reason", label: "Why is it open again?" },
  "task release": { name: "reason", label: "Why is it given back?" },
};

/** What the page does to move tasks, and which of its dialogs is open. */
export function useMoves(tasks) {
  const [moving, setMoving] = useState(new Set());
  const [chosen, choose] = useState(null);
  const [asked, setAsked] = useState(null);
  const [revealed, setRevealed] = useState(null);
  const latest = useRef(tasks);
  latest.current = tasks;

  const send = async (id, command, done) => {
    setMoving((before) => new Set(before).add(id));
    try {
      await act(command, { task: id });
      done();
    } catch {
      // the sentence of the rule is shown
    }
    setMoving((before) => new Set([...before].filter((each) => each !== id)));
  };

  const move = async (id, from, to, isRevealed = false) => {
    const command = COMMANDS[to][from] ?? COMMANDS[to].any;
    const field = ASKED[command];
    const done = () => isRevealed && setRevealed({ id, from }); // the focus goes with the task, when it has moved
    if (!field || (command !== "sling" && !(await isAllowed(id, command)))) return send(id, command, done);
    return setAsked({ title: latest.current.get(id)?.title ?? id, command, args: { task: id }, fields: [field], label: "Move", onClose: () => setAsked(null), onDone: done });
  };

  const moveChosen = (to) => {
    choose(null);
    move(chosen.id, chosen.status, to, true);
  };
  return { moving, chosen, choose, asked, move, moveChosen, revealed, onRevealed: useCallback(() => setRevealed(null), []) };
}

/** Whether the status allows a command now; there is no need to ask for a reason if it does not. */
async function isAllowed(id, command) {
  try {
    const { allowed } = await run("task show", { task: id }, { method: "GET" });
    return !allowed || allowed.includes(command.split(" ").at(-1));
  } catch {
    return false;
  }
}

/** Where a task is to go: the same as dragging it, by keys or with one finger. */
export function MoveDialog({ task, onMove, onClose }) {
  return html`
    <${Dialog} title=${`Move ${task.title}`} onClose=${onClose}>
      <div class="move-targets">
        ${COLUMNS.filter(([status]) => status !== task.status).map(([status, name]) => html`<button key=${status} type="button" onClick=${() => onMove(status)}>${name}</button>`)}
      </div>
      <div class="buttons"><button type="button" class="quiet" onClick=${onClose}>Back</button></div>
    <//>`;
}
