// A form that runs a command, in the page or in a dialog.
import { act } from "../lib/actions.js";
import { place } from "../lib/api.js";
import { html, useRef, useState } from "../lib/dom.js";
import { Dialog } from "../lib/parts.js";

/**
 * A form whose button runs a command. What was typed stays when the command is refused.
 * @param {{command: string, args: object, label: string, danger?: boolean, onDone: (text: string) => void,
 *   onError?: (error: Error) => void, onCancel?: () => void, name?: string}} props  `name`: of the form, for readers.
 */
export function CommandForm({ command, args, label, danger = false, onDone, onError, onCancel, name, children }) {
  const [isBusy, setIsBusy] = useState(false);
  const isSent = useRef(false);
  const submit = async (event) => {
    event.preventDefault();
    if (isSent.current || place.isReadOnly) return;
    isSent.current = true;
    setIsBusy(true);
    try {
      onDone(await act(command, args));
    } catch (error) {
      onError?.(error);
    }
    isSent.current = false;
    setIsBusy(false);
  };
  const why = place.isReadOnly ? "This server only shows the board" : undefined;
  return html`<form onSubmit=${submit} aria-label=${name}>
    ${children}
    <div class="buttons">
      <button type="submit" class=${danger ? "danger" : "primary"} aria-disabled=${isBusy || place.isReadOnly} title=${why}>${label}</button>
      ${onCancel ? html`<button type="button" onClick=${onCancel}>Back</button>` : null}
    </div>
  </form>`;
}

/** The same in a dialog, which is closed when the command has run. */
export function CommandDialog({ title, onClose, ...form }) {
  return html`<${Dialog} title=${title} onClose=${onClose}><${CommandForm} ...${form} onDone=${onClose} onCancel=${onClose} /><//>`;
}

/** What an input reports: `onInput=${typed(setText)}`. */
export const typed = (set) => (event) => set(event.currentTarget.value);
