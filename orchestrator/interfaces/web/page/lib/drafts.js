// What was typed and not sent yet: it outlives live updates, other views and a reload, until it is sent.
import { useCallback, useState } from "./dom.js";

const NAME = "orc-draft ";

function kept(key, empty) {
  try {
    return JSON.parse(sessionStorage.getItem(NAME + key)) ?? empty;
  } catch {
    return empty;
  }
}

/**
 * A draft under a name, as a value of any kind.
 * @param {string} key  What it is a draft of.
 * @param {any} empty  Its value before the first key.
 * @returns {[any, (value: any) => void, () => void]}  The value; change it; forget it.
 */
export function useDraft(key, empty) {
  const [value, setValue] = useState(() => kept(key, empty));
  const change = useCallback(
    (next) => {
      setValue(next);
      try {
        sessionStorage.setItem(NAME + key, JSON.stringify(next));
      } catch {
        // it is too long for the store of the browser: it stays in this view
      }
    },
    [key],
  );
  const forget = useCallback(() => {
    sessionStorage.removeItem(NAME + key);
    setValue(empty);
  }, [key]);
  return [value, change, forget];
}
