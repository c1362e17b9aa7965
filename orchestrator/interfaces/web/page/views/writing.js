// Editing a text that others may change at the same time, and the history of a text with its differences.
import { html, useState } from "../lib/dom.js";
import { Differences } from "../lib/diff.js";
import { useDraft } from "../lib/drafts.js";
import { Markdown } from "../lib/markdown.js";
import { Field, When } from "../lib/parts.js";
import { CommandForm, typed } from "../lib/form.js";

/**
 * A form for a text. It keeps the text that it began with: if another one changed it meanwhile, the board refuses
 * to replace that, and the form shows what the other one did.
 * @param {{name: string, current: {digest: string, text: string}, fields: [string, string][], command: string,
 *   args: (draft: object, digest: string) => object, onDone: () => void, reload: () => void}} props
 *   `current`: the text as it is on the board, with the values of `fields`: [name, label] of further inputs.
 */
export function TextForm({ name, current, fields = [], command, args, onDone, reload }) {
  const [draft, setDraft, forget] = useDraft(name, { ...current, base: current });
  const [isPreview, setIsPreview] = useState(false);
  const { base } = draft;
  const isChanged = base.digest !== current.digest;
  const change = (field) => typed((text) => setDraft({ ...draft, [field]: text }));
  const done = () => {
    forget();
    onDone();
  };
  return html`
    ${isChanged
      ? html`<div class="failure" role="alert">
          <p>Another one changed this text after you began. What was changed:</p>
          <${Differences} before=${base.text} after=${current.text} label="What was changed meanwhile" />
          <div class="buttons">
            <button type="button" onClick=${() => setDraft({ ...draft, base: current })}>Go on with mine, and replace theirs</button>
            <button type="button" onClick=${() => setDraft({ ...current, base: current })}>Take theirs, and drop mine</button>
          </div>
        </div>`
      : null}
    <${CommandForm} name=${name} command=${command} args=${args(draft, base.digest)} label="Save" onDone=${done} onError=${reload}
        onCancel=${done}>
      ${fields.map(([field, label]) => html`<${Field} key=${field} label=${label}><input value=${draft[field]} onInput=${change(field)} /><//>`)}
      <${Field} label="Text, in markdown"><textarea rows="18" value=${draft.text} onInput=${change("text")}></textarea><//>
      <label class="check"><input type="checkbox" checked=${isPreview} onChange=${(event) => setIsPreview(event.currentTarget.checked)} />show what it will be</label>
      ${isPreview ? html`<div class="box"><${Markdown} text=${draft.text} level=${2} /></div>` : null}
    <//>`;
}

/**
 * The versions of a text, newest first, and the differences between two versions.
 * @param {{versions: {version: number, text: string, author: string, moment: string}[]}} props
 */
export function Versions({ versions }) {
  const last = versions.length;
  const [[from, to], setPair] = useState([Math.max(1, last - 1), last]);
  const byNumber = new Map(versions.map((version) => [version.version, version]));
  const choices = versions.toReversed();
  const choose = (label, value, onChange) => html`<label>${label} <select value=${value} onChange=${(event) => onChange(Number(event.currentTarget.value))}>
    ${choices.map(({ version, author }) => html`<option key=${version} value=${version}>${version}, ${author}</option>`)}
  </select></label>`;
  return html`
    <ol class="plain">${choices.map(
      ({ version, author, moment }) => html`<li key=${version}>
        <button type="button" class="quiet" aria-pressed=${to === version} onClick=${() => setPair([Math.max(1, version - 1), version])}>Version ${version}</button>
        ${" "}<bdi>${author}</bdi> <${When} moment=${moment} /></li>`,
    )}</ol>
    ${last > 1
      ? html`<div class="bar">${choose("From version", from, (version) => setPair([version, to]))}
          ${choose("to version", to, (version) => setPair([from, version]))}</div>
        <${Differences} before=${byNumber.get(from)?.text ?? ""} after=${byNumber.get(to)?.text ?? ""} label=${`From version ${from} to ${to}`} />`
      : null}`;
}
