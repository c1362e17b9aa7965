// The live log: one stream for the whole page, and answers that follow it.
import { place, run } from "./api.js";
import { useEffect, useMemo, useRef, useState } from "./dom.js";

const listeners = new Set();
const states = new Set();
let state = "connecting";
let source = null;

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
  source.onmessage = (message) => tell(JSON.parse(message.data));
  source.onerror = () => {
    become("cut off");
    // The browser connects again by itself, from the last event on, unless the server refused the stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000, "");
  };
}

/** Begin to follow the log. */
export function follow() {
  if (!source) connect(place.event);
}

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
 * @returns {{value: any, error: ?Error, isLoading: boolean, reload: () => void}}
 */
export function useAnswer(command, args = {}, on = []) {
  const [answer, setAnswer] = useState({ value: undefined, error: null, isLoading: true });
  const key = JSON.stringify([command, args]);
  const reader = useMemo(() => {
    const self = { isEnded: false, isBusy: false, isStale: false, isFailed: false, frame: 0 };
    self.read = async () => {
      if (self.isEnded) return;
      if (self.isBusy || document.hidden) {
        self.isStale = true;
        return;
      }
      self.isBusy = true;
      self.isStale = false;
      try {
        const value = await run(command, args, { method: "GET" });
        self.isFailed = false;
        if (!self.isEnded) setAnswer({ value, error: null, isLoading: false });
      } catch (error) {
        self.isFailed = true;
        if (!self.isEnded) setAnswer((before) => ({ ...before, error, isLoading: false }));
      }
      self.isBusy = false;
      if (self.isStale) self.read();
    };
    self.soon = () => {
      if (document.hidden) {
        self.isStale = true;
        return;
      }
      self.frame ||= requestAnimationFrame(() => {
        self.frame = 0;
        self.read();
      });
    };
    return self;
  }, [key]);
  useEffect(() => {
    const onShown = () => !document.hidden && reader.isStale && reader.soon();
    document.addEventListener("visibilitychange", onShown);
    // What could not be read while the server was away has perhaps no event that would show it.
    const end = onLive(() => reader.isFailed && reader.soon());
    reader.read();
    return () => {
      end();
      reader.isEnded = true;
      cancelAnimationFrame(reader.frame);
      document.removeEventListener("visibilitychange", onShown);
    };
  }, [reader]);
  useEvents(() => on.length && reader.soon(), on.length ? on : ["-"]);
  return { ...answer, reload: reader.soon };
}
