/** The first of many: a long list is shown in whole only when it is asked for. */
import { html, useState } from "./dom.js";

/**
 * @param {any[]} items
 * @param {number} [most]  How many are shown at first.
 * @returns {[any[], any]} What is shown, and the button that changes it; null if all have room.
 */
export function useSome(items, most = 12) {
  const [isAll, setAll] = useState(false);
  if (items.length <= most) return [items, null];
  const button = html`<button type="button" aria-expanded=${isAll} onClick=${() => setAll(!isAll)}>
    ${isAll ? `Show the first ${most}` : `Show all ${items.length}`}
  </button>`;
  return [isAll ? items : items.slice(0, most), button];
}
