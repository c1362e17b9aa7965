/**
 * Small charts of numbers: columns and lines over time, and when work will have ended.
 *
 * Series differ by pattern or dashes too, not by colour alone; each chart has its numbers as a table. Geometry is
 * in attributes: the page allows no inline style.
 */
import { html, useState } from "./dom.js";
import { PATTERNS, Patterns, numbersOf, ticksOf, useWidth } from "./scale.js";
import { moment } from "./timeline.js";

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} look  One of the looks of the style: "done", "failed", "in_progress" ...
 * @property {number[]} values  One for each moment.
 */

const HEIGHT = 180;
const LEFT = 40;
const TOP = 8;
const BOTTOM = 24;
const DASHES = { in_review: "6 4", failed: "2 3", pending: "8 3 2 3", cancelled: "2 6" };

let charts = 0;

/**
 * Columns on each other, a column for each step of time.
 * @param {{label: string, summary: string, moments: number[], until: number, series: Series[]}} props
 */
export function Columns({ label, summary, moments, until, series }) {
  const [id] = useState(() => `chart-${++charts}`);
  const totals = moments.map((_, at) => series.reduce((sum, each) => sum + each.values[at], 0));
  return html`<${Chart} id=${id} label=${label} summary=${summary} moments=${moments} until=${until} series=${series}
    largest=${Math.max(1, ...totals)} isFilled=${true}
    draw=${(x, y) =>
      moments.flatMap((from, at) => {
        let below = 0;
        const begin = x(from) + 1;
        const width = Math.max(1, x(moments[at + 1] ?? until) - begin - 1);
        return series.map((each) => {
          const value = each.values[at];
          const top = y((below += value));
          if (!value) return null;
          const box = { x: begin, y: top, width, height: Math.max(1, y(below - value) - top) };
          return html`<g key=${`${at} ${each.name}`}>
            <rect class=${`bar-fill bar-${each.look}`} ...${box} />
            ${PATTERNS[each.look] ? html`<rect fill=${`url(#${id}-${each.look})`} ...${box} />` : null}
          </g>`;
        });
      })} />`;
}

/**
 * Lines over time.
 * @param {{label: string, summary: string, moments: number[], until: number, series: Series[]}} props
 */
export function Lines({ label, summary, moments, until, series }) {
  const [id] = useState(() => `chart-${++charts}`);
  const largest = Math.max(1, ...series.flatMap((each) => each.values));
  return html`<${Chart} id=${id} label=${label} summary=${summary} moments=${moments} until=${until} series=${series}
    largest=${largest} isFilled=${false}
    draw=${(x, y) =>
      series.map(
        (each) => html`<path key=${each.name} class=${`chart-line line-${each.look}`}
          stroke-dasharray=${DASHES[each.look] ?? "none"}
          d=${each.values
            .map((value, at) => `${at ? "L" : "M"}${x(moments[at])} ${y(value)}L${x(moments[at + 1] ?? until)} ${y(value)}`)
            .join("")} />`,
      )} />`;
}

/**
 * When work will have ended: the share of the trials that had ended it by a time.
 * @param {{label: string, now: number, quantiles: number[], marks: {name: string, moment: number}[]}} props
 *   `quantiles`: the ends of 5, 10 ... 95 of 100 trials; `marks`: moments to compare with, such as a date.
 */
export function Outlook({ label, now, quantiles, marks }) {
  const [box, width] = useWidth();
  const end = Math.max(quantiles.at(-1), ...marks.map((mark) => mark.moment));
  const until = end + Math.max(1000, (end - now) * 0.05);
  const right = width - 12;
  const x = (time) => LEFT + ((time - now) / (until - now)) * (right - LEFT);
  const y = (share) => TOP + (1 - share) * HEIGHT;
  const points = quantiles.map((time, at) => [x(time), y((at + 1) * 0.05)]);
  const curve = [[x(now), y(0)], ...points].map(([left, top]) => `${left} ${top}`).join("L");
  const [p50, p85] = [points[9], points[16]];
  const summary = `Half of the trials had ended by ${moment(quantiles[9])}, 85 of 100 by ${moment(quantiles[16])}, 95 of 100 by ${moment(quantiles[18])}.`;
  return html`<figure class="chart" ref=${box}>
    <figcaption class="chart-head"><span>${label}</span></figcaption>
    <svg class="chart-drawing" role="img" aria-label=${`${label}. ${summary}`} width=${width} height=${TOP + HEIGHT + BOTTOM}>
      ${[0, 0.25, 0.5, 0.75, 1].map(
        (share) => html`<g key=${share}>
          <line class="chart-rule" x1=${LEFT} x2=${right} y1=${y(share)} y2=${y(share)} />
          <text class="chart-axis" x=${LEFT - 6} y=${y(share) + 4} text-anchor="end">${share * 100}%</text>
        </g>`,
      )}
      <${TimeAxis} from=${now} to=${until} x=${x} room=${right - LEFT} />
      <path class="chart-area" d=${`M${curve}L${points.at(-1)[0]} ${y(0)}Z`} />
      <path class="chart-line line-in_progress" d=${`M${curve}`} />
      ${[
        ["half", p50],
        ["85 %", p85],
      ].map(
        ([name, [left, top]]) => html`<g key=${name}>
          <line class="chart-mark" x1=${left} x2=${left} y1=${top} y2=${y(0)} />
          <circle class="chart-point" cx=${left} cy=${top} r="4" />
          <text class="chart-axis" x=${left - 8} y=${top - 2} text-anchor="end">${name}</text>
        </g>`,
      )}
      ${marks.map(
        (mark) => html`<g key=${mark.name}>
          <line class="chart-due" x1=${x(mark.moment)} x2=${x(mark.moment)} y1=${TOP} y2=${y(0)} />
          <text class="chart-axis" x=${x(mark.moment) - 4} y=${TOP + 12} text-anchor="end">${mark.name}</text>
        </g>`,
      )}
    </svg>
    <details class="chart-table"><summary>As a table</summary>
      <div class="scrolls" tabindex="0" role="region" aria-label=${`${label}, as a table`}><table>
        <thead><tr><th scope="col">share of the trials</th><th scope="col">ended by</th></tr></thead>
        <tbody>${quantiles.map(
          (time, at) => html`<tr key=${at}><th scope="row">${(at + 1) * 5} %</th><td>${moment(time)}</td></tr>`,
        )}</tbody>
      </table></div>
    </details>
  </figure>`;
}

function Chart({ id, label, summary, moments, until, series, largest, isFilled, draw }) {
  const [box, width] = useWidth();
  const marks = numbersOf(largest);
  const right = width - 12;
  const x = (time) => LEFT + ((time - moments[0]) / Math.max(1, until - moments[0])) * (right - LEFT);
  const y = (value) => TOP + (1 - value / marks.at(-1)) * HEIGHT;
  return html`<figure class="chart" ref=${box}>
    <figcaption class="chart-head">
      <span>${label}</span>
      <span class="chart-legend" aria-hidden="true">${series.map(
        (each) => html`<span key=${each.name}><svg width="24" height="12" focusable="false">${
          isFilled
            ? html`<rect class=${`bar-fill bar-${each.look}`} width="24" height="12" />
                ${PATTERNS[each.look] ? html`<rect fill=${`url(#${id}-${each.look})`} width="24" height="12" />` : null}`
            : html`<path class=${`chart-line line-${each.look}`} stroke-dasharray=${DASHES[each.look] ?? "none"} d="M0 6H24" />`
        }</svg> ${each.name}</span>`,
      )}</span>
    </figcaption>
    <svg class="chart-drawing" role="img" aria-label=${`${label}. ${summary}`} width=${width} height=${TOP + HEIGHT + BOTTOM}>
      <${Patterns} id=${id} />
      ${marks.map(
        (mark) => html`<g key=${mark}>
          <line class="chart-rule" x1=${LEFT} x2=${right} y1=${y(mark)} y2=${y(mark)} />
          <text class="chart-axis" x=${LEFT - 6} y=${y(mark) + 4} text-anchor="end">${mark}</text>
        </g>`,
      )}
      <${TimeAxis} from=${moments[0]} to=${until} x=${x} room=${right - LEFT} />
      ${draw(x, y)}
    </svg>
    <details class="chart-table"><summary>As a table</summary>
      <div class="scrolls" tabindex="0" role="region" aria-label=${`${label}, as a table`}><table>
        <thead><tr><th scope="col">from</th>${series.map((each) => html`<th key=${each.name} scope="col">${each.name}</th>`)}</tr></thead>
        <tbody>${moments.map(
          (from, at) => html`<tr key=${from}><th scope="row">${moment(from)}</th>
            ${series.map((each) => html`<td key=${each.name} class="number">${rounded(each.values[at])}</td>`)}</tr>`,
        )}</tbody>
      </table></div>
    </details>
  </figure>`;
}

function TimeAxis({ from, to, x, room }) {
  return ticksOf(from, to, Math.floor(room / 80)).map(
    (tick) => html`<text key=${tick.moment} class="chart-axis" x=${x(tick.moment)} y=${TOP + HEIGHT + 17}
      text-anchor=${tick.anchor}>${tick.text}</text>`,
  );
}

const rounded = (value) => (Number.isInteger(value) ? value : value.toFixed(1));
