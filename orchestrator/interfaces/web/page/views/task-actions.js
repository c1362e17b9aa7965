// What can be done with a task: the commands, what they ask for, and the dialog that asks.
import { html, useState } from "../lib/dom.js";
import { act } from "../lib/actions.js";
import { Dialog, Failure, Field } from "../lib/parts.js";

const REASON = { name: "reason", label: "Why" };
const RESULT = { name: "result", label: "Result, for the tasks that need this one", multiline: true };
const NEEDED = { ...REASON, required: true };

/**
 * The transitions of a status, by the names that `task show` has in `allowed`. One without `fields` asks for
 * nothing. The rules decide: what they refuse is answered with their own sentence.
 */
export const TRANSITIONS = {
  claim: { command: "task claim", label: "Claim" },
  complete: {
    command: "task complete",
    label: "Complete",
    fields: [RESULT],
  },
  fail: { command: "task fail", label: "Fail", fields: [{ ...REASON, label: "Why it cannot be done", required: true }], danger: true },
  release: { command: "task release", label: "Release", fields: [REASON] },
  renew: { command: "task renew", label: "Extend the lease" },
  review: { command: "task review", label: "Take the review" },
  approve: { command: "task approve", label: "Approve", fields: [{ name: "comment", label: "Comment" }] },
  reject: { command: "task reject", label: "Reject", fields: [{ ...NEEDED, label: "What is missing" }], danger: true },
  block: { command: "task block", label: "Block", fields: [{ ...NEEDED, label: "What it waits for, outside the board" }] },
  unblock: { command: "task unblock", label: "Unblock" },
  reopen: {
    command: "task reopen",
    label: "Reopen",
    fields: [REASON, { name: "downstream", label: "Also all that was done after it", kind: "checkbox" }],
  },
  cancel: { command: "task cancel", label: "Cancel the task", fields: [REASON], danger: true },
  archive: { command: "task archive", label: "Archive", fields: [], many: true, danger: true },
};

/** What is possible with a task of any status. */
export const MORE = {
  force: {
    command: "task complete",
    label: "Complete by force",
    fields: [RESULT, { ...NEEDED, label: "Why: without a claim, or in spite of open needs and failed checks" }],
    args: { force: true },
    danger: true,
  },
  signal: {
    command: "task signal",
    label: "Give a signal",
    fields: [
      { name: "name", label: "Which signal; all if empty" },
      { name: "text", label: "Comment" },
    ],
  },
  need: {
    command: "task dep add",
    label: "Add a link",
    fields: [
      { name: "other", label: "Id of the other task", required: true },
      {
        name: "kind",
        label: "What it is",
        options: ["needs", "needs-failure-of", "parent", "waits-for", "related", "discovered-from", "duplicates", "supersedes", "caused-by"],
      },
    ],
  },
  unlink: { command: "task dep remove", label: "Remove a link", fields: [{ name: "other", label: "Id of the other task", required: true }, REASON] },
  move: { command: "task move", label: "Move", fields: [{ name: "ws", label: "Workstream", required: true }], many: true },
  duplicate: { command: "task duplicate", label: "Is a duplicate", fields: [{ name: "of", label: "Id of the task that says the same", required: true }, REASON], danger: true },
  supersede: { command: "task supersede", label: "Is replaced", fields: [{ name: "by", label: "Id of the task that takes its place", required: true }, REASON], danger: true },
  delete: { command: "task delete", label: "Delete", fields: [NEEDED], many: true, danger: true },
};

/**
 * The dialog of an action. It stays open with what was typed when the board refuses.
 * @param {{action: object, task: {id: string, title: string}, onClose: () => void}} props
 */
export function Ask({ action, task, onClose }) {
  const [values, setValues] = useState(() => Object.fromEntries(action.fields.filter((field) => field.options).map((field) => [field.name, field.options[0]])));
  const [error, setError] = useState(null);
  const [isBusy, setIsBusy] = useState(false);
  const { fields } = action;
  const change = (name) => (event) => {
    const { type, checked, value } = event.currentTarget;
    setValues((before) => ({ ...before, [name]: type === "checkbox" ? checked : value }));
  };
  const submit = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    setIsBusy(true);
    setError(null);
    const args = { ...(action.many ? { tasks: [task.id] } : { task: task.id }), ...action.args };
    for (const { name } of fields) if (values[name]) args[name] = values[name];
    try {
      await act(action.command, args);
      onClose();
    } catch (refusal) {
      setError(refusal);
      setIsBusy(false);
    }
  };
  const input = (field) => {
    const common = { name: field.name, required: field.required, onInput: change(field.name) };
    if (field.options) return html`<select ...${common} value=${values[field.name]} onChange=${common.onInput}>${field.options.map((option) => html`<option key=${option} value=${option}>${option}</option>`)}</select>`;
    if (field.multiline) return html`<textarea ...${common} rows="4" value=${values[field.name] ?? ""}></textarea>`;
    return html`<input ...${common} type="text" autocomplete="off" value=${values[field.name] ?? ""} />`;
  };
  return html`
    <${Dialog} title=${`${action.label}: ${task.title}`} onClose=${onClose}>
      <form class="task-ask" onSubmit=${submit}>
        ${fields.map((field) => field.kind === "checkbox"
          ? html`<label key=${field.name} class="task-check"><input type="checkbox" checked=${values[field.name] ?? false} onChange=${change(field.name)} /> ${field.label}</label>`
          : html`<${Field} key=${field.name} label=${field.label}>${input(field)}<//>`)}
        ${error && html`<${Failure} error=${error} />`}
        <div class="task-actions">
          <button type="submit" class=${action.danger ? "danger" : "primary"} disabled=${isBusy}>${action.label}</button>
          <button type="button" onClick=${onClose}>Back</button>
        </div>
      </form>
    <//>`;
}
