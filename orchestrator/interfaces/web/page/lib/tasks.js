// All tasks of the board, loaded once; then only those that changed are read.
import { run } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { onEvents, onLive } from "./live.js";

let tasks = null;
let newest = 0;
let isReading = false;
let isStale = true; // changed tasks are to be read
let isAllStale = true; // so are all, because some may be gone
const listeners = new Set();

const MOST_NAMED = 50; // tasks in an expression, whose length is limited

/** The tasks that need these: how many needs they still wait for changes without an event of their own. */
async function dependantsOf(moved) {
  const ids = new Set(moved.map((task) => task.id));
  const needed = new Set([...tasks?.values() ?? []].flatMap((task) => task.needs).filter((id) => ids.has(id)));
  if (!needed.size) return [];
  const where = needed.size > MOST_NAMED ? null : [...needed].map((id) => `needs = '${id}'`).join(" or ");
  return run("task list", { all: true, where }, { method: "GET" });
}

async function read(isWhole) {
  const args = { all: true, ...(isWhole ? {} : { since: `${newest}` }) };
  const changed = await run("task list", args, { method: "GET" });
  const next = isWhole ? new Map() : new Map(tasks);
  for (const task of changed) next.set(task.id, task);
  const moved = isWhole ? [] : changed.filter((task) => tasks.get(task.id)?.status !== task.status);
  for (const task of await dependantsOf(moved)) next.set(task.id, task);
  // Only now that nothing has failed: what was not kept is to be read again.
  tasks = next;
  for (const task of changed) newest = Math.max(newest, task.events.at(-1) ?? 0);
  for (const listener of listeners) listener(tasks);
}

/** Read what is stale, while a view shows it: one request at a time. What could not be read is still stale. */
async function refresh() {
  if (isReading || !listeners.size) return;
  isReading = true;
  while (isStale) {
    const isWhole = isAllStale;
    isStale = isAllStale = false;
    try {
      await read(isWhole);
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
onEvents((event) => {
  isStale = true;
  isAllStale ||= event === null || event.type === "task.deleted" || event.type === "task.archived";
  refresh();
}, ["task.", "workflow."]);
onLive(refresh);

/** The tasks by id, as far as they are loaded; null before. */
export function useTasks() {
  const [shown, setShown] = useState(tasks);
  useEffect(() => {
    listeners.add(setShown);
    refresh();
    return () => listeners.delete(setShown);
  }, []);
  return shown;
}
