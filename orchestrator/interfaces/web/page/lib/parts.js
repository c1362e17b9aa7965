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
 * @param {{command: string, args: object, label: string, about?: string, confirm?: string, danger?: boolean, onDone?: () => void}} props
 *   `about`: what it acts on, for buttons of the same label; `confirm`: the question before it runs.
 */
export function Action({ command, args, label, about = "", confirm = "", danger = false, onDone }) {
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
    <button type="button" class=${danger ? "danger" : ""} aria-label=${about ? `${label}: ${about}` : undefined} title=${place.isReadOnly ? "This server only shows the board" : undefined} aria-disabled=${isBusy || place.isReadOnly} onClick=${() => !isBusy && !place.isReadOnly && (confirm ? setIsAsked(true) : go())}>${label}</button>
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
 * @param {{value: string, label: string, onSave: (text: string) => Promise<unknown>, multiline?: boolean, isTextHidden?: boolean}} props
 *   `isTextHidden`: the text is shown by someone else, here is only the button.
 */
export function EditInPlace({ value, label, onSave, multiline = false, isTextHidden = false }) {
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
      await onSave(draft);
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
    return html`<span class="edit">${!isTextHidden && html`<span class="edit-text">${value}</span> `}<button type="button" class="quiet" ref=${button} onClick=${open} aria-label=${`Edit: ${label}`}>${isTextHidden && !value ? label : "Edit"}</button></span>`;
  }
  const common = { ref: input, value: draft, "aria-label": label, onInput: (event) => setDraft(event.currentTarget.value), onKeyDown };
  return html`
    <form class="edit-form" onSubmit=${save}>
      ${multiline ? html`<textarea rows="8" ...${common}></textarea>` : html`<input type="text" ...${common} />`}
      ${value !== before.current && html`<p class="hint">It was changed meanwhile to: ${value || "nothing"}</p>`}
      <div class="buttons"><button type="submit" class="primary" disabled=${isBusy}>Save</button><button type="button" onClick=${close}>Back</button></div>
    </form>`;
}

const BEYOND = 8;

/**
 * A list of rows of one height, of which only those in sight are made. Arrow keys, Home and End walk along it.
 * @param {{items: any[], height: number, row: (item: any, index: number) => any, itemKey: (item: any) => any, label: string, onEnd?: () => void,
 *   reveal?: any, onRevealed?: () => void}} props
 *   `onEnd` is called when the end comes into sight; `reveal` is the key of an item that gets the focus.
 */
export function VirtualList({ items, height, row, itemKey, label, onEnd, reveal = null, onRevealed }) {
  const frame = useRef(null);
  const [range, setRange] = useState([0, BEYOND]);
  const [focused, setFocused] = useState(null);
  const measure = () => {
    const { scrollTop, clientHeight } = frame.current;
    const begin = Math.max(0, Math.floor(scrollTop / height) - BEYOND);
    const end = Math.ceil((scrollTop + clientHeight) / height) + BEYOND;
    setRange((before) => (before[0] === begin && before[1] === end ? before : [begin, end]));
    if (end >= items.length) onEnd?.();
  };
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(measure);
    watcher.observe(frame.current);
    return () => watcher.disconnect();
  }, [items.length]);
  const shown = [];
  for (let index = range[0]; index < Math.min(range[1], items.length); index += 1) shown.push(index);
  // The row with the focus stays, wherever the list is scrolled to: the focus would be lost with it.
  const held = focused === null ? -1 : items.findIndex((item) => itemKey(item) === focused);
  if (held >= 0 && !shown.includes(held)) shown.push(held);
  shown.sort((one, other) => one - other);
  const go = (index) => {
    const box = frame.current;
    const top = index * height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
    setFocused(itemKey(items[index]));
    requestAnimationFrame(() => frame.current?.querySelector(`[data-index="${index}"] :is(a, button)`)?.focus());
  };
  useEffect(() => {
    const index = reveal === null ? -1 : items.findIndex((item) => itemKey(item) === reveal);
    if (index < 0) return;
    go(index);
    onRevealed?.();
  }, [reveal]);
  const onKeyDown = (event) => {
    const index = Number(event.target.closest?.("[data-index]")?.dataset.index ?? -1);
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next === undefined || event.ctrlKey || event.altKey || event.metaKey || next < 0 || next >= items.length) return;
    event.preventDefault();
    go(next);
  };
  return html`
    <div class="virtual" ref=${frame} onScroll=${measure} onKeyDown=${onKeyDown} tabindex="-1">
      <div class="virtual-all" role="list" aria-label=${label} style=${{ height: `${items.length * height}px` }}
        onFocusIn=${(event) => { const index = event.target.closest("[data-index]")?.dataset.index; if (index !== undefined) setFocused(itemKey(items[Number(index)])); }}
        onFocusOut=${() => setFocused(null)}>
        ${shown.map((index) => html`
          <div key=${itemKey(items[index])} class="virtual-row" role="listitem" aria-setsize=${items.length} aria-posinset=${index + 1} data-index=${index}
            style=${{ height: `${height}px`, transform: `translateY(${index * height}px)` }}>${row(items[index], index)}</div>`)}
      </div>
    </div>`;
}
