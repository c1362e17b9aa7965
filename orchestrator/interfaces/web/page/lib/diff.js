/** The differences of two texts, line by line. */
import { html } from "./dom.js";

const MOST = 2_000; // changed lines that are compared; longer changes are shown as all old, all new
const AROUND = 3; // equal lines that are shown before and after a change

/**
 * The lines of both texts in order: [" ", text], ["-", old] or ["+", new].
 * @param {string} before
 * @param {string} after
 * @returns {[string, string][]}
 */
export function differences(before, after) {
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const same = (line) => [" ", line];
  const old = a.slice(start, a.length - end);
  const now = b.slice(start, b.length - end);
  const changed =
    old.length * now.length > MOST * MOST
      ? [...old.map((line) => ["-", line]), ...now.map((line) => ["+", line])]
      : compared(old, now);
  return [...a.slice(0, start).map(same), ...changed, ...a.slice(a.length - end).map(same)];
}

const linesOf = (text) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** The differences of two short lists, by their longest common subsequence. */
function compared(a, b) {
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1]))
      lines.push(["-", a[i++]]);
    else lines.push(["+", b[j++]]);
  }
  return lines;
}

const KINDS = { "-": ["removed", "del"], "+": ["added", "ins"] };

/**
 * What changed between two texts; equal lines far from a change are left out.
 * @param {{before: string, after: string, label: string}} props
 */
export function Differences({ before, after, label }) {
  const lines = differences(before, after);
  const near = new Set(
    lines.flatMap(([kind], at) =>
      kind === " " ? [] : Array.from({ length: 2 * AROUND + 1 }, (_, i) => at + i - AROUND),
    ),
  );
  if (!near.size) return html`<p>No differences.</p>`;
  const shown = lines.map(([kind, text], at) => {
    if (!near.has(at)) return near.has(at - 1) ? html`<div class="diff-gap">⋯</div>` : null;
    const [name, tag] = KINDS[kind] ?? ["same", "span"];
    return html`<div class=${`diff-line diff-${name}`}><span class="diff-sign" aria-hidden="true">${kind}</span><${tag} dir="auto">${text || "\u00a0"}</></div>`;
  });
  return html`<div class="diff scrolls" tabindex="0" role="region" aria-label=${label}>${shown}</div>`;
}
