/** The common parts of charts: the width that they have, readable steps of an axis, and patterns. */
import { html, useLayoutEffect, useRef, useState } from "./dom.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 5, 15, 30].map((n) => n * MINUTE).concat([1, 3, 6, 12].map((n) => n * HOUR), [1, 2, 7, 14, 28, 91, 365].map((n) => n * DAY));

/**
 * The width of an element in pixels, which follows its size.
 * @returns {[object, number]} The ref of the element, and its width.
 */
export function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(640);
  useLayoutEffect(() => {
    const element = box.current;
    const measure = () => setWidth(Math.max(200, Math.floor(element.clientWidth)));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

/**
 * The marks of an axis of time: round moments in the zone of the reader.
 * @param {number} from  Milliseconds since 1970.
 * @param {number} to
 * @param {number} most  How many have room.
 * @returns {{moment: number, text: string, anchor: string}[]}
 */
export function ticksOf(from, to, most) {
  const step = STEPS.find((each) => (to - from) / each <= Math.max(1, most)) ?? STEPS.at(-1);
  const shift = new Date(from).getTimezoneOffset() * MINUTE;
  const format = new Intl.DateTimeFormat(
    undefined,
    step < DAY ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric" },
  );
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const ticks = [];
  const span = to - from;
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    const isMidnight = (at - shift) % DAY === 0;
    const share = (at - from) / span;
    const anchor = share < 0.04 ? "start" : share > 0.96 ? "end" : "middle";
    ticks.push({ moment: at, text: isMidnight ? day.format(at) : format.format(at), anchor });
  }
  return ticks;
}

/**
 * The marks of an axis of numbers from 0.
 * @param {number} largest
 * @returns {number[]}
 */
export function numbersOf(largest) {
  const rough = Math.max(1, largest) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough));
  const marks = [];
  for (let at = 0; at < largest + step; at += step) marks.push(at);
  return marks;
}

/** The lines of a pattern in a tile of 8 by 8. */
export const PATTERNS = {
  in_review: "M0 8L8 0",
  blocked: "M0 0V8M4 0V8",
  failed: "M0 0L8 8M0 8L8 0",
  cancelled: "M0 2H8M0 6H8",
  pending: "M4 3V5",
};

/** The patterns by kind, for `url(#ID-KIND)`. */
export function Patterns({ id }) {
  return html`<defs>${Object.entries(PATTERNS).map(
    ([kind, lines]) => html`<pattern key=${kind} id=${`${id}-${kind}`} width="8" height="8" patternUnits="userSpaceOnUse">
      <path class="bar-pattern" d=${lines} />
    </pattern>`,
  )}</defs>`;
}
