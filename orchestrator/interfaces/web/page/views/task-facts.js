// The facts of a task beside its texts; those that can be edited are edited in place.
import { html } from "../lib/dom.js";
import { AgentLink, EditInPlace, TaskLink, When } from "../lib/parts.js";

/**
 * @param {{task: object, edit: (field: string) => (text: string) => Promise<void>}} props
 */
export function Facts({ task, edit }) {
  const list = (field) => (text) => edit(field)(text.split(",").map((word) => word.trim()).filter(Boolean));
  const number = (field) => (text) => edit(field)(/^-?\d+$/.test(text) ? Number(text) : text); // what is none, the board refuses
  const editable = (name, label, save = edit(name)) => {
    const value = Array.isArray(task[name]) ? task[name].join(", ") : String(task[name] ?? "");
    return html`<${EditInPlace} value=${value} label=${label} onSave=${save} />`;
  };
  const other = (id) => html`<${TaskLink} id=${id} ...${Object.hasOwn(task.named, id) ? task.named[id] : {}} />`;
  const tasks = (ids) => ids.length > 0 && html`<ul>${ids.map((id) => html`<li key=${id}>${other(id)}</li>`)}</ul>`;
  const links = (items, end) => items.length > 0 && html`<ul>${items.map((link) => html`<li key=${link.kind + link[end]}>${link.kind} ${other(link[end])}</li>`)}</ul>`;
  const time = (moment) => moment && html`<${When} moment=${moment} />`;
  const words = (items) => items.join(", ");
  const rows = [
    ["Needs", html`${tasks(task.needs)}${editable("needs", "Needs", list("needs"))}`],
    ["Needed by", tasks(task.needed_by)],
    ["Needs the failure of", tasks(task.needs_failure_of)],
    ["Part of", html`${task.parent && other(task.parent)}${editable("parent", "Part of")}`],
    ["Parts", tasks(task.children)],
    ["Progress", task.progress && `${task.progress.done} of ${task.progress.total} done`],
    ["Waits for", task.gate && html`${task.gate.how} parts of ${task.gate.of === task.id ? "its own" : other(task.gate.of)}`],
    ["Signals", task.signals.length > 0 && html`<ul>${task.signals.map((signal, number) => html`<li key=${number}>${signal.kind} ${signal.name}: ${signal.given_at ? html`given <${When} moment=${signal.given_at} />` : "not given"}</li>`)}</ul>`],
    ["Links", html`${links(task.links, "task")}${links(task.linked_by, "task")}`, task.links.length + task.linked_by.length],
    ["Workflow", task.workflow && task.workflow !== task.id && other(task.workflow)],
    ["Goals", words(task.goals)],
    ["Priority", editable("priority", "Priority", number("priority"))],
    ["Type", editable("type", "Type")],
    ["Labels", editable("labels", "Labels", list("labels"))],
    ["Touches", editable("touches", "Touches", list("touches"))],
    ["Due", html`${time(task.due)} <${EditInPlace} value=${task.due} label="Due" onSave=${edit("due")} isTextHidden />`],
    ["Not before", html`${time(task.defer_until)} <${EditInPlace} value=${task.defer_until} label="Not before" onSave=${edit("defer")} isTextHidden />`],
    ["Estimate", task.estimate !== null && `${task.estimate} min`],
    ["Assigned to", task.assignee && html`<${AgentLink} id=${task.assignee} />`],
    ["Workers", task.workers.length > 0 && html`<ul>${task.workers.map((agent) => html`<li key=${agent}><${AgentLink} id=${agent} /></li>`)}</ul>`],
    ["Attempt", task.attempt],
    ["Failures", task.failures],
    ["Token", task.token],
    ["Created", html`${time(task.created_at)} by <${AgentLink} id=${task.created_by} />`],
    ["Claimed", time(task.claimed_at)],
    ["Updated", time(task.updated_at)],
    ["Ended", time(task.ended_at)],
    ["Commits", words(task.commits)],
    ["Elsewhere", task.external_ref],
    ...Object.entries(task.meta).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  return html`<dl class="task-facts">${rows.filter(([, value, size = 1]) => value && size).map(([name, value], number) => html`<div key=${number}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
