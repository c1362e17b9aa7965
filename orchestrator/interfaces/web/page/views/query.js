// The filters of a view in the query of its address: they outlive a reload, and can be sent to others.
import { useCallback, useState } from "../lib/dom.js";

/**
 * The values of named filters, from the address.
 * @param {Object<string, string>} empty The filters with their values when the address names none.
 * @returns {[Object<string, string>, (changes: Object<string, string>) => void]}
 */
export function useQuery(empty) {
  const [values, setValues] = useState(() => {
    const given = new URLSearchParams(location.search);
    return Object.fromEntries(Object.keys(empty).map((name) => [name, given.get(name) ?? empty[name]]));
  });
  const change = useCallback((changes) => {
    setValues((before) => {
      const after = { ...before, ...changes };
      const query = new URLSearchParams(Object.entries(after).filter(([name, value]) => value !== empty[name]));
      const text = query.toString();
      history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
      return after;
    });
  }, []);
  return [values, change];
}
