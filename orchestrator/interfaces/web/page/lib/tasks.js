// The tasks of the board in short: those that are worked on first, then all; after that only what changes is read.
import { run } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { lastEvent, onEvents, onLive } from "./live.js";

const FIELDS = "id,title,workstream,status,priority,assigned_to,open_needs,due,created_at,ended_at,labels,needs";
const FIRST = 200; // more than a screen shows
const PAGE = 1000;
const MOST_NAMED = 50; // tasks in an expression, whose length is limited

let known = { tasks: null, isWhole: false };
let event = 0; // the last one before what is known was read
let isReading = false;
let isStale = true; // changed tasks are to be read
let isAllStale = true; // so are all, because some may be gone
const listeners = new Set();

function show(tasks, isWhole = true) {
  known = { tasks, isWhole };
  for (const listener of listeners) listener(known);
}

const ask = (args) => run("task list", { all: true, fields: FIELDS, ...args }, { method: "GET" });
const byId = (tasks, before) => new Map([...(before ?? []), ...tasks.map((task) => [task.id, task])]);

/** Read all tasks, page by page: no other request waits long. In the order of their age no task changes its page. */
async function readAll() {
  if (!known.tasks) {
    const first = await ask({ per_page: FIRST, page: 1 });
    show(byId(first), first.length < FIRST);
    if (known.isWhole) return;
  }
  let all = new Map();
  for (let page = 1, isLast = false; !isLast; page += 1) {
    const part = await ask({ sort: "age", per_page: PAGE, page });
    all = byId(part, all);
    isLast = part.length < PAGE;
  }
  show(all);
}

async function readChanged() {
  const before = known.tasks;
  const changed = await ask({ since: `${event}` });
  show(byId(changed, before));
  // How many needs a task still waits for changes without an event of its own.
  const moved = new Set(changed.filter((task) => before.get(task.id)?.status !== task.status).map((task) => task.id));
  const needed = new Set([...known.tasks.values()].flatMap((task) => task.needs).filter((id) => moved.has(id)));
  if (needed.size > MOST_NAMED) isStale = isAllStale = true;
  else if (needed.size) show(byId(await ask({ where: [...needed].map((id) => `needs = '${id}'`).join(" or ") }), known.tasks));
}

/** Read what is stale, while a view shows it: one request at a time. What could not be read is still stale. */
async function refresh() {
  if (isReading || !listeners.size) return;
  isReading = true;
  while (isStale) {
    const isWhole = isAllStale;
    const until = lastEvent();
    isStale = isAllStale = false;
    try {
      await (isWhole ? readAll() : readChanged());
      event = until;
    } catch {
      // the header says that the stream is cut off; the next event or the next connection tries again
      isStale = true;
      isAllStale ||= isWhole;
      break;
    }
  }
  isReading = false;
}

// Also while no view shows the tasks: the next one must know what is gone.
onEvents((each) => {
  isStale = true;
  isAllStale ||= each === null || each.type === "task.deleted" || each.type === "task.archived";
  refresh();
}, ["task.", "workflow."]);
onLive(refresh);

/** The tasks by id as far as they are known, null before: {tasks, isWhole}. */
export function useTasks() {
  const [shown, setShown] = useState(known);
  useEffect(() => {
    listeners.add(setShown);
    setShown(known);
    refresh();
    return () => listeners.delete(setShown);
  }, []);
  return shown;
}
