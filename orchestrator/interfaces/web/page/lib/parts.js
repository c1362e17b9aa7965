// The parts that views are made of.
import { act } from "./actions.js";
import { place } from "./api.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./dom.js";

/** The status of a task, in words and colour. */
export function Badge({ status }) {
  return html`<span class=${`badge ${status}`}>${status.replaceAll("_", " ")}</span>`;
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const ticking = new Set();

function tick() {
  for (const listener of ticking) listener((count) => count + 1);
}
setInterval(() => !document.hidden && tick(), 30_000);

/** A moment, relative to now; the exact one is its title. */
export function When({ moment }) {
  const [, setCount] = useState(0);
  useEffect(() => {
    ticking.add(setCount);
    return () => ticking.delete(setCount);
  }, []);
  const date = new Date(moment);
  if (!moment || Number.isNaN(date.getTime())) return moment ?? "";
  const seconds = (date.getTime() - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ["", 0];
  const text = unit ? relative.format(Math.round(seconds / size), unit) : seconds > 0 ? "in a moment" : "just now";
  return html`<time datetime=${moment} title=${exact.format(date)}>${text}</time>`;
}

/** A link to a task; without its title the id stands for it. */
export function TaskLink({ id, title = "", status = "" }) {
  return html`<a class="task-link" href=${`/tasks/${encodeURIComponent(id)}`}>${title ? html`${title} <code>${id}</code>` : html`<code>${id}</code>`}</a>${status && html` <${Badge} status=${status} />`}`;
}

/** A link to an agent. */
export function AgentLink({ id }) {
  return id ? html`<a class="agent-link" href=${`/agents/${encodeURIComponent(id)}`}>${id}</a>` : null;
}

/** The text of a view without content. */
export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** An error: what happened, and what to do next. */
export function Failure({ error }) {
  return html`<div class="failure" role="alert"><p>${error.message}</p>${error.hint && html`<p class="hint">${error.hint}</p>`}</div>`;
}

/** A label with an input, and what is wrong with it. The child has no label of its own. */
export function Field({ label, error = "", children }) {
  return html`<label class="field"><span>${label}</span>${children}${error && html`<span class="field-error" role="alert">${error}</span>`}</label>`;
}

/** A modal dialog; it gives the focus back when it is closed. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element.showModal();
    return () => element.close();
  }, []);
  return html`
    <dialog ref=${dialog} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onClick=${(event) => event.target === dialog.current && onClose()} onKeyDown=${(event) => event.stopPropagation()}>
      <div class="dialog-body"><h2>${title}</h2>${children}</div>
    </dialog>`;
}

/**
 * A button that runs a command.
 * @param {{command: string, args: object, label: string, about?: string, confirm?: string, danger?: boolean,
 *   primary?: boolean, onDone?: () => void}} props
 *   `about`: what it acts on, for buttons of the same label; `confirm`: the question before it runs.
 */
export function Action({ command, args, label, about = "", confirm = "", danger = false, primary = false, onDone }) {
  const [isBusy, setIsBusy] = useState(false);
  const [isAsked, setIsAsked] = useState(false);
  const go = async () => {
    setIsAsked(false);
    setIsBusy(true);
    try {
      await act(command, args);
      onDone?.();
    } catch {
      // `act` has shown why
    }
    setIsBusy(false);
  };
  return html`
    <button type="button" class=${danger ? "danger" : primary ? "primary" : ""} aria-label=${about ? `${label}: ${about}` : undefined} title=${place.isReadOnly ? "This server only shows the board" : undefined} aria-disabled=${isBusy || place.isReadOnly} onClick=${() => !isBusy && !place.isReadOnly && (confirm ? setIsAsked(true) : go())}>${label}</button>
    ${isAsked && html`
      <${Dialog} title=${confirm} onClose=${() => setIsAsked(false)}>
        <div class="buttons"><button type="button" class=${danger ? "danger" : "primary"} onClick=${go}>${label}</button><button type="button" onClick=${() => setIsAsked(false)}>Back</button></div>
      <//>`}`;
}

/** A text with its marked parts; marks are positions of characters, not of the units of JavaScript. */
export function Marked({ text, marks }) {
  const characters = [...text];
  const parts = [];
  let end = 0;
  for (const [from, to] of marks) {
    parts.push(characters.slice(end, from).join(""), html`<mark key=${from}>${characters.slice(from, to).join("")}</mark>`);
    end = to;
  }
  return html`<bdi>${parts}${characters.slice(end).join("")}</bdi>`;
}

/**
 * A text that is edited where it stands: Enter saves (with Ctrl if it has lines), Escape does not.
 * @param {{value: string, label: string, onSave: (text: string, reason?: string) => Promise<unknown>, multiline?: boolean, isTextHidden?: boolean,
 *   hint?: string, asksWhy?: boolean}} props `isTextHidden`: the text is shown by someone else, here is only the button;
 *   `hint`: what can be typed; `asksWhy`: a change needs a reason.
 */
export function EditInPlace({ value, label, onSave, multiline = false, isTextHidden = false, hint = "", asksWhy = false }) {
  const [reason, setReason] = useState("");
  const [draft, setDraft] = useState(null);
  const [isBusy, setIsBusy] = useState(false);
  const input = useRef(null);
  const button = useRef(null);
  const before = useRef("");
  const isOpen = draft !== null;
  useEffect(() => {
    if (isOpen) input.current.focus();
  }, [isOpen]);
  const close = () => {
    setDraft(null);
    requestAnimationFrame(() => button.current?.focus());
  };
  const save = async (event) => {
    event?.preventDefault();
    if (isBusy) return;
    if (draft === before.current) return close();
    setIsBusy(true);
    try {
      await onSave(draft, reason || undefined);
      close();
    } catch {
      // the reason is in the status line; what was typed stays
    }
    setIsBusy(false);
  };
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && (!multiline || event.ctrlKey || event.metaKey)) save(event);
  };
  if (!isOpen) {
    const open = () => {
      before.current = value;
      setDraft(value);
    };
    return html`<span class="edit">${!isTextHidden && html`<span class="edit-text">${value}</span> `}<button type="button" class="quiet" ref=${button} onClick=${open} aria-label=${`Edit: ${label}`} disabled=${place.isReadOnly}>Edit</button></span>`;
  }
  const common = { ref: input, value: draft, "aria-label": label, onInput: (event) => setDraft(event.currentTarget.value), onKeyDown };
  return html`
    <form class="edit-form" onSubmit=${save}>
      ${multiline ? html`<textarea rows="8" ...${common}></textarea>` : html`<input type="text" ...${common} />`}
      ${hint && html`<p class="hint">${hint}</p>`}
      ${asksWhy && html`<${Field} label="Why: you have this task yourself"><input type="text" value=${reason} onInput=${(event) => setReason(event.currentTarget.value)} onKeyDown=${onKeyDown} /><//>`}
      ${value !== before.current && html`<p class="hint">It was changed meanwhile to: ${value || "nothing"}</p>`}
      <div class="buttons"><button type="submit" class="primary" disabled=${isBusy}>Save</button><button type="button" onClick=${close}>Back</button></div>
    </form>`;
}
