// The views in the order of the navigation; one without `key` is reached by links only.
import { view as convoys } from "./convoys.js";
import { view as cycle } from "./cycle.js";
import { view as events } from "./events.js";
import { view as graph } from "./graph.js";
import { view as numbers } from "./numbers.js";
import { view as task } from "./task.js";

export const VIEWS = [graph, events, cycle, numbers, convoys, task];
