// A JSON value as a tree that opens level by level.
import { html, useState } from "../lib/dom.js";

const MOST = 100;

/**
 * A value under its name. What is below is made when it is opened: a payload may be large and deep.
 * @param {{name?: string, value: unknown, isOpen?: boolean}} props
 */
export function Tree({ name, value, isOpen = false }) {
  const [opened, setOpened] = useState(isOpen);
  const [most, setMost] = useState(MOST);
  if (value === null || typeof value !== "object")
    return html`<p class="tree-leaf">${name !== undefined && html`<span class="tree-name">${name}</span> `}<span class=${`tree-${value === null ? "null" : typeof value}`}>${typeof value === "string" ? value : String(value)}</span></p>`;
  // Pairs, never an object of our own: a name may be `__proto__`.
  const pairs = Array.isArray(value) ? value.map((item, number) => [`${number + 1}`, item]) : Object.entries(value);
  const size = Array.isArray(value) ? `${pairs.length} ${pairs.length === 1 ? "item" : "items"}` : `${pairs.length} ${pairs.length === 1 ? "fact" : "facts"}`;
  if (!pairs.length) return html`<p class="tree-leaf">${name !== undefined && html`<span class="tree-name">${name}</span> `}<span class="tree-null">${Array.isArray(value) ? "empty list" : "no facts"}</span></p>`;
  return html`
    <details class="tree" open=${opened} onToggle=${(event) => { event.stopPropagation(); setOpened(event.currentTarget.open); }}>
      <summary><span class="tree-name">${name ?? "payload"}</span> <span class="tree-size">${size}</span></summary>
      ${opened && html`
        <ul>
          ${pairs.slice(0, most).map(([key, item], number) => html`<li key=${number}><${Tree} name=${key} value=${item} /></li>`)}
          ${pairs.length > most && html`<li><button type="button" onClick=${() => setMost(most + MOST)}>${pairs.length - most} more</button></li>`}
        </ul>`}
    </details>`;
}
