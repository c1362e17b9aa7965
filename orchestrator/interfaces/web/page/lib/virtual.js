// Long lists, of which only what is in sight is made.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./dom.js";

const BEYOND = 8;

/**
 * A list of rows of one height, of which only those in sight are made. Arrow keys, Home and End walk along it.
 * @param {{items: any[], height: number, row: (item: any, index: number) => any, itemKey: (item: any) => any, label: string, onEnd?: () => void,
 *   reveal?: any, onRevealed?: () => void}} props
 *   `onEnd` is called when the end comes into sight; `reveal` is the key of an item that gets the focus.
 */
export function VirtualList({ items, height, row, itemKey, label, onEnd, reveal = null, onRevealed }) {
  const frame = useRef(null);
  const [range, setRange] = useState([0, BEYOND]);
  const [focused, setFocused] = useState(null);
  const measure = () => {
    const { scrollTop, clientHeight } = frame.current;
    const begin = Math.max(0, Math.floor(scrollTop / height) - BEYOND);
    const end = Math.ceil((scrollTop + clientHeight) / height) + BEYOND;
    setRange((before) => (before[0] === begin && before[1] === end ? before : [begin, end]));
    if (end >= items.length) onEnd?.();
  };
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(measure);
    watcher.observe(frame.current);
    return () => watcher.disconnect();
  }, [items.length]);
  const shown = [];
  for (let index = range[0]; index < Math.min(range[1], items.length); index += 1) shown.push(index);
  // The row with the focus stays, wherever the list is scrolled to: the focus would be lost with it.
  const held = focused === null ? -1 : items.findIndex((item) => itemKey(item) === focused);
  if (held >= 0 && !shown.includes(held)) shown.push(held);
  shown.sort((one, other) => one - other);
  const go = (index) => {
    const box = frame.current;
    const top = index * height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
    setFocused(itemKey(items[index]));
    requestAnimationFrame(() => frame.current?.querySelector(`[data-index="${index}"] :is(a, button)`)?.focus());
  };
  useEffect(() => {
    const index = reveal === null ? -1 : items.findIndex((item) => itemKey(item) === reveal);
    if (index < 0) return;
    go(index);
    onRevealed?.();
  }, [reveal]);
  const onKeyDown = (event) => {
    const index = Number(event.target.closest?.("[data-index]")?.dataset.index ?? -1);
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next === undefined || event.ctrlKey || event.altKey || event.metaKey || next < 0 || next >= items.length) return;
    event.preventDefault();
    go(next);
  };
  return html`
    <div class="virtual" ref=${frame} onScroll=${measure} onKeyDown=${onKeyDown} tabindex="-1">
      <div class="virtual-all" role="list" aria-label=${label} style=${{ height: `${items.length * height}px` }}
        onFocusIn=${(event) => { const index = event.target.closest("[data-index]")?.dataset.index; if (index !== undefined) setFocused(itemKey(items[Number(index)])); }}
        onFocusOut=${() => setFocused(null)}>
        ${shown.map((index) => html`
          <div key=${itemKey(items[index])} class="virtual-row" role="listitem" aria-setsize=${items.length} aria-posinset=${index + 1} data-index=${index}
            style=${{ height: `${height}px`, transform: `translateY(${index * height}px)` }}>${row(items[index], index)}</div>`)}
      </div>
    </div>`;
}

const NEAR = "1200px"; // above and below the window

/**
 * Rows of any height in a table or a list, made by groups: those far from the window are an empty space.
 * @param {{items: any[], row: (item: any, index: number) => any, height: number, tag?: "tbody" | "ul", size?: number}} props
 *   `height`: of a row, as it is before one is seen; `size`: rows of a group.
 */
export function Groups({ items, row, height, tag = "tbody", size = 50, ...attributes }) {
  const groups = [];
  for (let begin = 0; begin < items.length; begin += size) groups.push(begin);
  return groups.map((begin) => html`<${Group} key=${begin} items=${items.slice(begin, begin + size)} begin=${begin} row=${row} height=${height} tag=${tag} attributes=${attributes} />`);
}

function Group({ items, begin, row, height, tag, attributes }) {
  const usual = useRef(height);
  const count = useRef(0);
  count.current = items.length;
  const [box, isNear] = useNear(begin === 0, (element) => (usual.current = element.offsetHeight / count.current || height));
  const space = { height: `${items.length * usual.current}px` };
  if (isNear) return html`<${tag} ref=${box} ...${attributes}>${items.map((item, index) => row(item, begin + index))}<//>`;
  return tag === "tbody"
    ? html`<tbody ref=${box} aria-hidden="true"><tr><td colspan="99" style=${space}></td></tr></tbody>`
    : html`<ul ref=${box} ...${attributes} aria-hidden="true"><li style=${space}></li></ul>`;
}

/**
 * Whether an element is near the window, or has the focus, which would be lost with what is in it.
 * @param {boolean} isFirst Whether it is near before that is known.
 * @param {(element: Element) => void} [onLeave] Called before what is in it goes.
 * @returns {[object, boolean]} The ref of the element, and whether it is near.
 */
export function useNear(isFirst, onLeave) {
  const box = useRef(null);
  const [isNear, setIsNear] = useState(isFirst);
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => {
      const { isIntersecting } = entries.at(-1), element = box.current;
      if (element === null) return; // the element was removed after the browser saw this change
      if (!isIntersecting && element.contains(document.activeElement)) return;
      if (!isIntersecting) onLeave?.(element);
      setIsNear(isIntersecting);
    }, { rootMargin: `${NEAR} 0px`, scrollMargin: `${NEAR} 0px` });
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  return [box, isNear];
}
