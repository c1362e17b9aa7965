// The facts of a task beside its texts. Those that a person may give are edited in place, as their declaration says.
import { place } from "../lib/api.js";
import { html } from "../lib/dom.js";
import { numbered } from "../lib/form.js";
import { FACTS } from "../lib/facts.js";
import { AgentLink, EditInPlace, TaskLink, When } from "../lib/parts.js";

const ELSEWHERE = new Set(["title", "description", "acceptance"]); // these are texts in the middle of the view

const valueOf = (task, fact) => fact.path.reduce((value, name) => value?.[name], task);

/** The forms of facts by kind: how a value is text to edit, and what a text is as an argument of the command. */
const plain = { text: (value) => String(value ?? ""), given: (text) => text };
const words = { text: (value) => (value ?? []).join(", "), given: (text) => text.split(",").map((word) => word.trim()).filter(Boolean) };
const lines = { text: (value) => (value ?? []).join("\n"), given: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean), isLong: true };
const FORMS = {
  integer: { text: (value) => String(value ?? ""), given: numbered },
  words,
  tasks: words,
  lines,
  duration: { text: (value) => (value ? `${value}s` : ""), given: (text) => text },
  pairs: {
    text: (value) => Object.entries(value ?? {}).map(([name, text]) => `${name}=${text}`).join("\n"),
    // A name that is not there any more is removed by an empty value.
    given: (text, value) => {
      const kept = lines.given(text);
      const names = new Set(kept.map((line) => line.split("=", 1)[0]));
      return [...kept, ...Object.keys(value ?? {}).filter((name) => !names.has(name)).map((name) => `${name}=`)];
    },
    isLong: true,
    hint: "NAME=TEXT, each on its own line.",
  },
};

/** The facts that a person may give, as inputs of a form. */
export const INPUTS = FACTS.map(({ name, label, help, kind }) => {
  const { given, isLong, hint } = FORMS[kind] ?? plain;
  return { name, label: `${label}: ${hint ?? help}`, given: kind === "flag" ? undefined : (text) => given(text), isBox: kind === "flag", multiline: isLong || name === "description" || name === "acceptance" };
});

/**
 * The editor of a fact that a person may give.
 * @param {{task: object, name: string, edit: (args: object) => Promise<void>, label?: string}} props
 *   `label`: of the button, if it is not that of the fact.
 */
export function EditFact({ task, name, edit, label = "", ...how }) {
  const fact = FACTS.find((each) => each.name === name);
  const value = valueOf(task, fact);
  if (fact.kind === "flag")
    return html`<label class="check"><input type="checkbox" checked=${Boolean(value)} disabled=${place.isReadOnly} aria-label=${fact.label} onChange=${(event) => {
      const box = event.currentTarget;
      edit({ [box.checked ? name : `no_${name}`]: true }).catch(() => { box.checked = Boolean(value); });
    }} />${fact.help}</label>`;
  const form = FORMS[fact.kind] ?? plain;
  const text = form.text(value);
  const isGate = name === "waits_for" && value;
  const save = (next, reason) => edit({ [name]: form.given(next, value), reason });
  return html`<${EditInPlace} value=${isGate ? `${value.how}:${value.of}` : text} label=${label || fact.label} hint=${form.hint ?? fact.help} onSave=${save}
    multiline=${form.isLong} asksWhy=${fact.is_judged && task.assigned_to === place.person} isTextHidden ...${how} />`;
}

/**
 * @param {{task: object, edit: (args: object) => Promise<void>}} props
 */
export function Facts({ task, edit }) {
  const other = (id) => html`<${TaskLink} id=${id} ...${Object.hasOwn(task.named, id) ? task.named[id] : {}} />`;
  const list = (items) => items.length > 0 && html`<ul>${items.map((item, number) => html`<li key=${number}>${item}</li>`)}</ul>`;
  const tasks = (ids) => list((ids ?? []).map(other));
  const links = (items, end) => items.map((link) => html`${link.kind} ${other(link[end])}`);
  const time = (moment) => moment && html`<${When} moment=${moment} />`;
  const codes = (texts) => list((texts ?? []).map((text) => html`<code>${text}</code>`));
  const shown = {
    tasks,
    task: (id) => id && other(id),
    time,
    minutes: (number) => number !== null && `${number} min`,
    duration: (seconds) => seconds && `${seconds} s`,
    words: (texts) => (texts ?? []).join(", "),
    lines: codes,
    pairs: (pairs) => list(Object.entries(pairs ?? {}).map(([name, text]) => html`<bdi>${name}</bdi>: ${text}`)),
    flag: () => null,
  };
  const row = ([label, value], number) => html`<div key=${number}><dt>${label}</dt><dd>${value}</dd></div>`;
  const given = FACTS.filter((fact) => !ELSEWHERE.has(fact.name)).map((fact) => {
    const value = valueOf(task, fact);
    const gate = fact.name === "waits_for" && value && html`${value.how} parts of ${value.of === task.id ? "its own" : other(value.of)}`;
    const text = gate || (shown[fact.kind] ?? plain.text)(value ?? null);
    return { fact, isEmpty: !text, row: [fact.label, html`${text} <${EditFact} task=${task} name=${fact.name} edit=${edit} />`] };
  });
  const others = [
    ["Needed by", tasks(task.needed_by)],
    ["Parts", tasks(task.children)],
    ["Progress", task.progress && `${task.progress.done} of ${task.progress.total} done`],
    ["Signals", list(task.signals.map((signal) => html`${signal.kind} ${signal.name}: ${signal.given_at ? html`given ${time(signal.given_at)}` : "not given"}`))],
    ["Links", list([...links(task.links, "task"), ...links(task.linked_by, "task")])],
    ["Workflow", task.workflow && task.workflow !== task.id && other(task.workflow)],
    ["Goals", task.goals.join(", ")],
    ["Assigned to", task.assignee && html`<${AgentLink} id=${task.assignee} />`],
    ["Workers", list(task.workers.map((agent) => html`<${AgentLink} id=${agent} />`))],
    ["Attempt", task.attempt],
    ["Failures", task.failures],
    ["Token", task.token],
    ["Created", html`${time(task.created_at)} by <${AgentLink} id=${task.created_by} />`],
    ["Claimed", time(task.claimed_at)],
    ["Updated", time(task.updated_at)],
    ["Ended", time(task.ended_at)],
  ].filter(([, value]) => value);
  // A fact stays where it is when it is filled: the focus would be lost with its button.
  const [usual, rare] = [given.filter(({ fact }) => !fact.is_rare), given.filter(({ fact }) => fact.is_rare)];
  return html`
    <dl class="task-facts">${[...usual.map((each) => each.row), ...others].map(row)}</dl>
    <details class="task-rare" open=${rare.some(({ isEmpty }) => !isEmpty)}><summary>More facts</summary>
      <dl class="task-facts">${rare.map((each) => each.row).map(row)}</dl></details>`;
}
