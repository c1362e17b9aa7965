/**
 * Bars over time: a row for each task or agent, as SVG, and the same as a table.
 *
 * One bar at a time is in the order of Tab; the arrows go on from there. Kinds differ by pattern too, not by
 * colour alone. Geometry is in attributes: the page allows no inline style.
 */
import { html, useMemo, useState } from "./dom.js";
import { PATTERNS, Patterns, ticksOf, useWidth } from "./scale.js";

/**
 * @typedef {object} Bar
 * @property {number} from  Milliseconds since 1970.
 * @property {number} to
 * @property {string} label  What it is, without its times.
 * @property {string} kind  The status that it stands for.
 * @property {string} [href]  Where it leads.
 *
 * @typedef {object} Row
 * @property {string} label
 * @property {string} [href]
 * @property {Bar[]} bars
 */

const WIDE = 560; // from this width on, the labels are beside the bars
const BAR = 16;
const AXIS = 24;
const KINDS = {
  in_progress: "in progress",
  in_review: "in review",
  blocked: "blocked",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
  pending: "pending",
};
const CHARACTER = 7.2; // the width of a character of a label
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

let charts = 0;

/**
 * A chart of bars, with its legend and its table.
 * @param {{label: string, rows: Row[], from: number, to: number, unit?: string}} props  `unit`: what a row is.
 */
export function Timeline({ label, rows, from, to, unit = "task" }) {
  const [id] = useState(() => `timeline-${++charts}`);
  const [box, width] = useWidth();
  const [current, setCurrent] = useState([0, 0]);
  const until = Math.max(to, from + 1000);
  const shown = useMemo(() => rows.map((row) => withSpans(row, from, until)), [rows, from, until]);
  const kinds = [...new Set(shown.flatMap((row) => row.bars.map((bar) => kindOf(bar))))];
  const beside = width >= WIDE ? Math.min(280, Math.round(width * 0.3)) : 0;
  const height = beside ? 28 : 44;
  const scale = (moment) => beside + ((moment - from) / (until - from)) * (width - beside);
  const place = nearest(shown, current);

  const move = (event) => {
    const target = stepped(shown, place, event.key);
    if (!target || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    setCurrent(target);
    box.current?.querySelector(`[data-bar="${target.join(" ")}"]`)?.focus();
  };

  return html`<figure class="timeline" ref=${box}>
    <figcaption class="timeline-head">
      <span>${label}</span>
      <span class="timeline-legend" aria-hidden="true">
        ${kinds.map(
          (kind) => html`<span key=${kind}><svg width="22" height="12" focusable="false">
            <${Shape} id=${id} kind=${kind} x=${0} y=${0} width=${22} height=${12} />
          </svg> ${nameOf(kind)}</span>`,
        )}
      </span>
    </figcaption>
    <svg class="timeline-chart" role="group" aria-label=${`${label}; arrows go from bar to bar`}
      width=${width} height=${AXIS + shown.length * height} onKeyDown=${move}>
      <${Patterns} id=${id} />
      <${Axis} from=${from} to=${until} scale=${scale} width=${width - beside} height=${AXIS + shown.length * height} />
      ${shown.map(
        (row, at) => html`<g key=${`${row.label} ${at}`}>
          <line class="timeline-rule" x1="0" x2=${width} y1=${AXIS + at * height} y2=${AXIS + at * height} />
          <${Label} row=${row} y=${AXIS + at * height + (beside ? 19 : 17)} room=${beside ? beside - 8 : width} />
          ${row.bars.map((bar, number) => {
            const isCurrent = place[0] === at && place[1] === number;
            const x = scale(bar.from);
            const shape = html`<title>${spoken(bar)}</title><${Shape} id=${id} kind=${kindOf(bar)} x=${x}
              y=${AXIS + at * height + height - BAR - 4} width=${Math.max(3, scale(bar.to) - x)} height=${BAR} />`;
            const shared = {
              key: `${bar.from} ${number}`,
              class: "timeline-bar",
              tabindex: isCurrent ? 0 : -1,
              "data-bar": `${at} ${number}`,
              "aria-label": `${row.label}: ${spoken(bar)}`,
              onFocus: () => setCurrent([at, number]),
            };
            return bar.href
              ? html`<a href=${bar.href} ...${shared}>${shape}</a>`
              : html`<g role="img" ...${shared}>${shape}</g>`;
          })}
        </g>`,
      )}
    </svg>
    <details class="timeline-table"><summary>As a table</summary>
      <div class="scrolls" tabindex="0" role="region" aria-label=${`${label}, as a table`}>
        <table><thead><tr>
          <th scope="col">${unit}</th><th scope="col">what</th><th scope="col">status</th>
          <th scope="col">from</th><th scope="col">to</th><th scope="col">for</th>
        </tr></thead>
        <tbody>${shown.flatMap((row, at) =>
          row.bars.map(
            (bar, number) => html`<tr key=${`${at} ${number}`}>
              <th scope="row">${row.label}</th><td>${bar.label}</td><td>${nameOf(kindOf(bar))}</td>
              <td>${moment(bar.from)}</td><td>${moment(bar.to)}</td><td>${lasting(bar.to - bar.from)}</td>
            </tr>`,
          ),
        )}</tbody></table>
      </div>
    </details>
  </figure>`;
}

/** The label of a row, cut to its room; its title has the full text. */
function Label({ row, y, room }) {
  const most = Math.max(4, Math.floor(room / CHARACTER));
  const text = row.label.length > most ? `${row.label.slice(0, most - 1)}…` : row.label;
  const label = html`<text class="timeline-label" x="0" y=${y}><title>${row.label}</title>${text}</text>`;
  // The bars lead there too, so that the label is no second stop of the keyboard.
  return row.href ? html`<a href=${row.href} tabindex="-1" aria-hidden="true">${label}</a>` : label;
}

function Shape({ id, kind, x, y, width, height }) {
  const box = { x, y, width, height, rx: 3 };
  return html`<rect class=${`bar-fill bar-${kind}`} ...${box} />
    ${PATTERNS[kind] ? html`<rect fill=${`url(#${id}-${kind})`} ...${box} />` : null}
    <rect class="bar-edge" ...${box} />`;
}

function Axis({ from, to, scale, width, height }) {
  const now = Date.now();
  return html`<g aria-hidden="true">
    ${ticksOf(from, to, Math.floor(width / 80)).map(
      (tick) => html`<g key=${tick.moment}>
        <line class="timeline-tick" x1=${scale(tick.moment)} x2=${scale(tick.moment)} y1="18" y2=${height} />
        <text class="timeline-axis" x=${scale(tick.moment)} y="13" text-anchor=${tick.anchor}>${tick.text}</text>
      </g>`,
    )}
    ${now > from && now <= to
      ? html`<line class="timeline-now" x1=${scale(now)} x2=${scale(now)} y1="18" y2=${height} />`
      : null}
  </g>`;
}

/** A row with the bars that are within the time, cut to it. */
function withSpans(row, from, to) {
  const within = row.bars.filter((bar) => bar.to >= from && bar.from <= to);
  const cut = within.map((bar) => ({ ...bar, from: Math.max(bar.from, from), to: Math.min(bar.to, to) }));
  return { ...row, bars: cut.sort((a, b) => a.from - b.from) };
}

/** The bar that has the keyboard: where it was, or the nearest that is still there. */
function nearest(rows, [row, bar]) {
  const filled = rows.flatMap((each, at) => (each.bars.length ? [at] : []));
  if (!filled.length) return [-1, -1];
  const at = filled.reduce((best, each) => (Math.abs(each - row) < Math.abs(best - row) ? each : best));
  return [at, Math.min(bar, rows[at].bars.length - 1)];
}

/** Where a key leads from a bar; null if it leads nowhere. */
function stepped(rows, [row, bar], key) {
  if (row < 0) return null;
  if (key === "Home") return [row, 0];
  if (key === "End") return [row, rows[row].bars.length - 1];
  if (!Object.hasOwn(STEPS, key)) return null;
  const [down, right] = STEPS[key];
  let at = row + down;
  while (down && rows[at] && !rows[at].bars.length) at += down;
  if (!rows[at]) return null;
  const target = Math.min(Math.max(bar + right, 0), rows[at].bars.length - 1);
  return [at, target];
}

const kindOf = (bar) => (Object.hasOwn(KINDS, bar.kind) ? bar.kind : "other");
const nameOf = (kind) => (Object.hasOwn(KINDS, kind) ? KINDS[kind] : "other");
const spoken = (bar) =>
  `${bar.label}, ${nameOf(kindOf(bar))}, ${moment(bar.from)} to ${moment(bar.to)}, ${lasting(bar.to - bar.from)}`;

const MOMENT = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A time of a chart, in the zone of the reader. */
export const moment = (time) => MOMENT.format(time);

/** How long milliseconds are, in the two largest units. */
export function lasting(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const units = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [size, name] = units[first];
  const whole = `${Math.floor(seconds / size)} ${name}`;
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return rest && first < 2 ? `${whole} ${rest} ${next[1]}` : whole;
}
