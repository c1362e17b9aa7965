// The views in the order of the navigation; one without `key` is reached by links only.
import { view as agents } from "./agents.js";
import { view as board } from "./board.js";
import { view as convoys } from "./convoys.js";
import { view as cycle } from "./cycle.js";
import { view as decisions } from "./decisions.js";
import { view as events } from "./events.js";
import { view as graph } from "./graph.js";
import { view as knowledge } from "./knowledge.js";
import { view as locks } from "./locks.js";
import { view as mail } from "./mail.js";
import { view as numbers } from "./numbers.js";
import { view as permissions } from "./permissions.js";
import { view as search } from "./search.js";
import { view as task } from "./task.js";

export const VIEWS = [board, graph, agents, mail, knowledge, decisions, locks, permissions, events, cycle, numbers, convoys, search, task];
