// Markdown of agents; shown as plain text so far.
import { html } from "./dom.js";

/** @param {{text: string, level?: number}} props */
export function Markdown({ text }) {
  return html`<div class="plain-text">${text}</div>`;
}
