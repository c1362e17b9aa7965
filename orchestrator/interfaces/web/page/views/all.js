// The views in the order of the navigation; one without `key` is reached by links only.

/**
 * `path`: a part with a colon is given to the view; one with a question mark may be missing. `key`: what opens it.
 * `keys`: those that the view has itself. Its module and its style have the first word of the path as their name.
 */
export const VIEWS = [
  { name: "Board", path: "/", key: "g b", keys: [["n", "Board: add a task"], ["m", "Board: move the task"], ["← → ↑ ↓", "Board: walk from task to task"]] },
  { name: "Graph", path: "/graph", key: "g g", keys: [["+ − 0 f o", "Graph: zoom, the usual size, fit, only what is connected"]] },
  { name: "Agents", path: "/agents/:id?", key: "g a" },
  { name: "Mail", path: "/mail/:id?", key: "g m" },
  { name: "Knowledge", path: "/knowledge/:topic?", key: "g k" },
  { name: "Decisions", path: "/decisions/:number?", key: "g d" },
  { name: "Locks", path: "/locks", key: "g l" },
  { name: "Permissions", path: "/permissions", key: "g p" },
  { name: "Events", path: "/events", key: "g e" },
  { name: "Cycle", path: "/cycle", key: "g c" },
  { name: "Numbers", path: "/numbers", key: "g n" },
  { name: "Convoys", path: "/convoys", key: "g v" },
  { name: "Search", path: "/search", key: "/" },
  { name: "Task", path: "/tasks/:id" },
].map((view) => ({ ...view, file: view.path.split("/")[1] || "board", address: view.path.replace(/\/:.*/, "") || "/" }));
