/** Answers that cost much: asked again after events, but rested in between. */
import { useEffect, useMemo, useState } from "./dom.js";
import { run } from "./api.js";
import { useEvents } from "./live.js";

const REST = 5; // an answer rests so much longer than its last run, so that it takes a sixth of the server at most

/**
 * The answer of a command that only reads, kept new at a bounded cost.
 * @param {string} command
 * @param {object} args
 * @param {string[]} on  The beginnings of the types of events after which it is asked again.
 * @param {number} [rest]  How much longer than its last run it rests.
 * @returns {{value: any, error: ?Error, isLoading: boolean, isOld: boolean, reload: () => void}}
 *   `isOld`: something has happened since.
 */
export function usePaced(command, args, on, rest = REST) {
  const key = JSON.stringify([command, args]);
  const [answer, setAnswer] = useState({ value: null, error: null, isLoading: true, isOld: false });
  const reader = useMemo(() => pacedReader(command, args, rest, setAnswer), [key]);
  useEvents(reader.later, on);
  useEffect(() => {
    const onShown = () => !document.hidden && reader.isOld && reader.later();
    document.addEventListener("visibilitychange", onShown);
    reader.read();
    return () => {
      reader.end();
      document.removeEventListener("visibilitychange", onShown);
    };
  }, [reader]);
  return { ...answer, reload: reader.read };
}

function pacedReader(command, args, rest, setAnswer) {
  let isEnded = false;
  let isBusy = false;
  let next = 0;
  let timer = 0;
  const self = { isOld: false };

  self.read = async () => {
    clearTimeout(timer);
    timer = 0;
    self.isOld ||= isBusy;
    if (isEnded || isBusy) return;
    isBusy = true;
    self.isOld = false;
    const begun = performance.now();
    setAnswer((before) => ({ ...before, isLoading: true }));
    let value = null;
    let error = null;
    try {
      value = await run(command, args, { method: "GET" });
    } catch (failure) {
      error = failure;
    }
    isBusy = false;
    next = performance.now() + rest * (performance.now() - begun);
    if (isEnded) return; // the view asks for another answer, or is gone
    setAnswer((before) => ({ value: error ? before.value : value, error, isLoading: false, isOld: self.isOld }));
    if (self.isOld) self.later();
  };

  self.later = () => {
    if (isEnded) return;
    self.isOld = true;
    setAnswer((before) => (before.isOld ? before : { ...before, isOld: true }));
    if (!timer && !isBusy && !document.hidden) timer = setTimeout(self.read, Math.max(0, next - performance.now()));
  };

  self.end = () => {
    isEnded = true;
    clearTimeout(timer);
  };
  return self;
}
