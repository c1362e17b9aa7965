// Which task stands where on the board.

/** The columns: a status and its name. */
export const COLUMNS = [
  ["pending", "Pending"],
  ["assigned", "Assigned"],
  ["in_progress", "In progress"],
  ["in_review", "In review"],
  ["blocked", "Blocked"],
  ["done", "Done"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];

/** Open tasks in the order in which they are taken, ended ones with the last one first. */
function compared(one, other) {
  if (one.ended_at || other.ended_at) return one.ended_at < other.ended_at ? 1 : one.ended_at > other.ended_at ? -1 : 0;
  return one.priority - other.priority || (one.created_at < other.created_at ? -1 : one.created_at > other.created_at ? 1 : 0);
}

const hasText = (task, words) => {
  const text = `${task.id} ${task.title} ${task.workstream} ${task.assigned_to ?? ""} ${task.labels.join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

/**
 * The tasks by lane and column.
 * @param {?Map<string, object>} tasks
 * @param {string} text Only tasks with all of these words.
 * @param {boolean} isLanes A lane for each workstream, else one for all.
 * @returns {{all: {name: string, count: number, cells: Object<string, object[]>}[], counts: Object<string, number>, count: number}}
 */
export function lanesOf(tasks, text, isLanes) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = Object.fromEntries(COLUMNS.map(([status]) => [status, 0]));
  const lanes = new Map();
  let count = 0;
  for (const task of tasks?.values() ?? []) {
    if (!(task.status in counts) || (words.length && !hasText(task, words))) continue;
    const name = isLanes ? task.workstream : "";
    if (!lanes.has(name)) lanes.set(name, { name, count: 0, cells: Object.fromEntries(COLUMNS.map(([status]) => [status, []])) });
    const lane = lanes.get(name);
    lane.cells[task.status].push(task);
    lane.count += 1;
    counts[task.status] += 1;
    count += 1;
  }
  for (const lane of lanes.values()) for (const cell of Object.values(lane.cells)) cell.sort(compared);
  return { all: [...lanes.values()].sort((one, other) => one.name.localeCompare(other.name)), counts, count };
}
