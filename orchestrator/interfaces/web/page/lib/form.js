// A form that runs a command, in the page or in a dialog.
import { act } from "./actions.js";
import { place } from "./api.js";
import { html, useEffect, useRef, useState } from "./dom.js";
import { Dialog, Failure, Field } from "./parts.js";

/** What an input reports: `onInput=${typed(setText)}`. */
export const typed = (set) => (event) => set(event.currentTarget.value);

/**
 * A form whose button runs a command; Ctrl+Enter in a text does so too. What the rules refuse is said in the form,
 * and what was typed stays.
 * @typedef {{name: string, label: string, required?: boolean, multiline?: boolean, isBox?: boolean,
 *   given?: (text: string) => any, options?: (string | [string, string])[], list?: string}} Input  An argument that the form asks for: a line, a text,
 *   a checkbox or a choice (of values, or of pairs of a value and its words); `given`: what a text is as an argument;
 *   `list`: the id of a list of proposals.
 * @param {{command: string, args?: object, fields?: Input[], more?: Input[], label: string, danger?: boolean, isBar?: boolean,
 *   onDone?: (text: string) => void, onError?: (error: Error) => void, onCancel?: () => void, name?: string}} props
 *   `args`: arguments besides those of `fields`; `more`: fields that are folded; `isBar`: inputs and button are in a row; `name`: of the form, for readers.
 */
export function CommandForm({ command, args = {}, fields = [], more = [], label, danger = false, isBar = false, onDone, onError, onCancel, name, children }) {
  const empty = () => Object.fromEntries(fields.filter((field) => field.options?.length).map((field) => [field.name, [field.options[0]].flat()[0]]));
  const [values, setValues] = useState(empty);
  const [error, setError] = useState(null);
  const [isBusy, setIsBusy] = useState(false);
  const isSent = useRef(false);
  const submit = async (event) => {
    event.preventDefault();
    if (isSent.current || place.isReadOnly) return;
    isSent.current = true;
    setIsBusy(true);
    setError(null);
    const given = Object.fromEntries([...fields, ...more].map((field) => [field.name, valueOf(field, values[field.name])]).filter(([, value]) => value));
    try {
      const text = await act(command, { ...args, ...given }, { isRefusalShown: true });
      setValues(empty);
      onDone?.(text);
    } catch (refusal) {
      setError(refusal);
      onError?.(refusal);
    }
    isSent.current = false;
    setIsBusy(false);
  };
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.requestSubmit();
  };
  const change = (field, value) => setValues((before) => ({ ...before, [field.name]: value }));
  const asked = (field) => html`<${Asked} key=${field.name} field=${field} value=${values[field.name]} onChange=${(value) => change(field, value)} />`;
  const why = place.isReadOnly ? "This server only shows the board" : undefined;
  return html`<form class=${isBar ? "bar" : ""} onSubmit=${submit} onKeyDown=${onKeyDown} aria-label=${name}>
    ${fields.map(asked)}
    ${children}
    ${more.length > 0 && html`<details><summary>More</summary>${more.map(asked)}</details>`}
    ${error && html`<${Failure} error=${error} />`}
    <div class="buttons">
      <button type="submit" class=${danger ? "danger" : "primary"} aria-disabled=${isBusy || place.isReadOnly} title=${why}>${label}</button>
      ${onCancel ? html`<button type="button" onClick=${onCancel}>Back</button>` : null}
    </div>
  </form>`;
}

const valueOf = (field, value) => (field.given && value ? field.given(value) : value);

/** The words of a text, with spaces or commas between them. */
export const listed = (text) => text.split(/[\s,]+/).filter(Boolean);

/** The number of a text; what is none, the board refuses. */
export const numbered = (text) => (/^-?\d+$/.test(text) ? Number(text) : text);

/** The input of a field. */
function Asked({ field, value, onChange }) {
  if (field.isBox)
    return html`<label class="check"><input type="checkbox" checked=${value ?? false} onChange=${(event) => onChange(event.currentTarget.checked)} />${field.label}</label>`;
  const common = { name: field.name, required: field.required, value: value ?? "" };
  return html`<${Field} label=${field.label}>
    ${field.options
      ? html`<select ...${common} onChange=${typed(onChange)}>${field.options.map((option) => {
          const [key, words] = Array.isArray(option) ? option : [option, option];
          return html`<option key=${key} value=${key}>${words}</option>`;
        })}</select>`
      : field.multiline
        ? html`<textarea ...${common} rows="4" onInput=${typed(onChange)}></textarea>`
        : html`<input ...${common} type="text" autocomplete="off" list=${field.list} onInput=${typed(onChange)} />`}
  <//>`;
}

/** The same in a dialog, which is closed when the command has run. The first input has the focus. */
export function CommandDialog({ title, onClose, onDone, ...form }) {
  const body = useRef(null);
  useEffect(() => body.current.querySelector("input, textarea, select")?.focus(), []);
  const done = (text) => {
    onClose();
    onDone?.(text);
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><div ref=${body}><${CommandForm} ...${form} onDone=${done} onCancel=${onClose} /></div><//>`;
}
