/** Answers that cost much: asked again after events, but rested in between. */
import { useCallback, useEffect, useRef, useState } from "./dom.js";
import { run } from "./api.js";
import { useEvents } from "./live.js";

const REST = 10; // how much longer than its last run an answer rests, so that it takes a tenth of a processor at most

/**
 * The answer of a command that only reads, kept new at a bounded cost.
 * @param {string} command
 * @param {object} args
 * @param {string[]} on  The beginnings of the types of events after which it is asked again.
 * @returns {{value: any, error: any, loading: boolean, isOld: boolean, reload: () => void}}
 *   `isOld`: something has happened since.
 */
export function usePaced(command, args, on) {
  const key = JSON.stringify([command, args]);
  const [answer, setAnswer] = useState({ value: null, error: null, loading: true, isOld: false });
  const pace = useRef({ key: "", running: false, isOld: false, next: 0, timer: 0 });

  const ask = useCallback(async () => {
    const state = pace.current;
    clearTimeout(state.timer);
    state.timer = 0;
    if (state.running || document.hidden) {
      state.isOld = true;
      return;
    }
    Object.assign(state, { running: true, isOld: false });
    const begun = performance.now();
    setAnswer((before) => ({ ...before, loading: true }));
    const [value, error] = await run(command, args).then(
      (given) => [given, null],
      (failure) => [null, failure],
    );
    state.running = false;
    state.next = performance.now() + REST * (performance.now() - begun);
    if (state.key !== key) return; // the view asks for another answer, or is gone
    setAnswer((before) => ({ value: error ? before.value : value, error, loading: false, isOld: state.isOld }));
    if (state.isOld) later();
  }, [key]);

  const later = useCallback(() => {
    const state = pace.current;
    state.isOld = true;
    setAnswer((before) => (before.isOld ? before : { ...before, isOld: true }));
    if (!state.timer && !state.running) {
      state.timer = setTimeout(ask, Math.max(0, state.next - performance.now()));
    }
  }, [ask]);

  useEvents(later, on);
  useEffect(() => {
    const state = pace.current;
    Object.assign(state, { key, running: false, next: 0 });
    ask();
    const show = () => !document.hidden && state.isOld && later();
    document.addEventListener("visibilitychange", show);
    return () => {
      state.key = "";
      clearTimeout(state.timer);
      state.timer = 0;
      document.removeEventListener("visibilitychange", show);
    };
  }, [key]);

  return { ...answer, reload: ask };
}
