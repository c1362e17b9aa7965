// The live log: one stream for the whole page, and answers that follow it.
import { place, run } from "./api.js";
import { useEffect, useMemo, useRef, useState } from "./dom.js";

const listeners = new Set();
const states = new Set();
let state = "connecting";
let source = null;
let last = place.event;

function become(next) {
  if (state === next) return;
  state = next;
  for (const listener of states) listener(next);
}

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

function connect(since) {
  source = new EventSource(since === "" ? "/api/stream" : `/api/stream?since=${since}`);
  // Without a first event to go on from, what happened meanwhile is not in the stream.
  source.onopen = () => {
    become("live");
    if (since === "") tell(null);
  };
  source.onmessage = (message) => {
    last = message.lastEventId;
    tell(JSON.parse(message.data));
  };
  source.onerror = () => {
    become("cut off");
    // The browser connects again automatically, from the last event on, unless the server refused the stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000, "");
  };
}

/** Begin to follow the log. */
export function follow() {
  if (!source) connect(place.event);
}

/** The number of the last event that the page has heard of. */
export const lastEvent = () => last;

/** How the stream is: `connecting`, `live` or `cut off`. */
export function useLive() {
  const [shown, setShown] = useState(state);
  useEffect(() => {
    setShown(state);
    states.add(setShown);
    return () => states.delete(setShown);
  }, []);
  return shown;
}

/** Call a function each time that the stream is live again; returns what ends this. */
export function onLive(callback) {
  const listener = (next) => next === "live" && callback();
  states.add(listener);
  return () => states.delete(listener);
}

const isWanted = (event, prefixes) => event === null || !prefixes.length || prefixes.some((prefix) => event.type.startsWith(prefix));

/** `useEvents` for modules; returns what ends it. */
export function onEvents(callback, prefixes) {
  const listener = (event) => isWanted(event, prefixes) && callback(event);
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Call a function with each event, whose type begins with one of the prefixes; none: with every event. It is
 * called with null when events may have been missed: read the board again then.
 * @param {(event: ?{id: number, ts: string, agent: string, type: string, payload: any}) => void} callback
 * @param {string[]} [prefixes]
 */
export function useEvents(callback, prefixes = []) {
  const latest = useRef(callback);
  latest.current = callback;
  useEffect(() => onEvents((event) => latest.current(event), prefixes), [prefixes.join()]);
}

/**
 * The answer of a command that only reads. It is read again when an event comes whose type begins with one of
 * the prefixes: once for all events of a frame, one request at a time, and not while the page is hidden.
 * The last answer stays while a new one is read.
 * @param {string} command
 * @param {Object<string, unknown>} args
 * @param {string[]} on Prefixes such as `task.`; empty: never again.
 * @param {number} [rest] How many times as long as its last run an answer that costs much rests after it.
 * @returns {{value: any, error: ?Error, isLoading: boolean, isOld: boolean, reload: () => void}} `isOld`: something
 *   has happened since.
 */
export function useAnswer(command, args = {}, on = [], rest = 0) {
  const [answer, setAnswer] = useState({ value: undefined, error: null, isLoading: true, isOld: false });
  const reader = useMemo(() => readerOf(() => run(command, args, { method: "GET" }), rest, setAnswer), [JSON.stringify([command, args])]);
  useEffect(() => {
    const onShown = () => !document.hidden && reader.isOld && reader.later();
    document.addEventListener("visibilitychange", onShown);
    // What could not be read while the server was away has perhaps no event that would show it.
    const end = onLive(() => reader.isFailed && reader.later());
    reader.read();
    return () => {
      end();
      reader.end();
      document.removeEventListener("visibilitychange", onShown);
    };
  }, [reader]);
  useEvents(() => on.length && reader.later(), on.length ? on : ["-"]);
  return { ...answer, reload: reader.read };
}

/** Reads an answer: now, or later when it has rested. */
function readerOf(ask, rest, setAnswer) {
  let isEnded = false;
  let isBusy = false;
  let next = 0;
  let timer = 0;
  let frame = 0;
  const self = { isOld: false, isFailed: false };
  const stop = () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    timer = frame = 0;
  };

  self.read = async () => {
    stop();
    if (isEnded) return;
    self.isOld = isBusy;
    if (isBusy) return;
    isBusy = true;
    const begun = performance.now();
    if (rest) setAnswer((before) => ({ ...before, isLoading: true }));
    const [value, error] = await ask().then((found) => [found, null], (failure) => [undefined, failure]);
    isBusy = false;
    self.isFailed = error !== null;
    next = performance.now() + rest * (performance.now() - begun);
    if (isEnded) return; // the view asks for another answer, or is gone
    setAnswer((before) => ({ value: error ? before.value : value, error, isLoading: false, isOld: self.isOld }));
    if (self.isOld) self.later();
  };

  self.later = () => {
    if (isEnded) return;
    self.isOld = true;
    if (rest) setAnswer((before) => (before.isOld ? before : { ...before, isOld: true }));
    if (timer || frame || isBusy || document.hidden) return;
    const wait = next - performance.now();
    if (rest && wait > 0) timer = setTimeout(self.read, wait);
    else frame = requestAnimationFrame(self.read);
  };

  self.end = () => {
    isEnded = true;
    stop();
  };
  return self;
}
