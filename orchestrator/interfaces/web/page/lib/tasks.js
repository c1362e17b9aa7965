// All tasks of the board, loaded once; then only those that changed are read.
import { run } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { useEvents } from "./live.js";

let tasks = null;
let newest = 0;
let reading = null;
let isAgain = false;
const listeners = new Set();

async function read(isWhole) {
  const args = { all: true, ...(isWhole ? {} : { since: `${newest}` }) };
  const changed = await run("task list", args, { method: "GET" });
  const next = isWhole ? new Map() : new Map(tasks);
  for (const task of changed) {
    next.set(task.id, task);
    newest = Math.max(newest, task.events.at(-1) ?? 0);
  }
  tasks = next;
  for (const listener of listeners) listener(tasks);
}

async function refresh(isWhole) {
  if (reading) {
    isAgain ||= true;
    return reading;
  }
  reading = (async () => {
    do {
      isAgain = false;
      await read(isWhole || !tasks);
    } while (isAgain);
  })();
  try {
    await reading;
  } catch {
    // the next event tries again; the header says that the stream is cut off
  } finally {
    reading = null;
  }
}

/** The tasks by id, as far as they are loaded; null before. */
export function useTasks() {
  const [shown, setShown] = useState(tasks);
  useEffect(() => {
    listeners.add(setShown);
    refresh(!tasks);
    return () => listeners.delete(setShown);
  }, []);
  useEvents((event) => refresh(event === null || event.type === "task.deleted" || event.type === "task.archived"), ["task.", "workflow."]);
  return shown;
}
