// The address of the page: going to another one, and the filters of a view in its query.
import { useCallback, useState } from "./dom.js";

/** Go to an address of this page. */
export function go(address) {
  history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

/**
 * The values of named filters, from the address: they outlive a reload, and can be sent to others.
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
