// What a person does: a command, with its sentence or the sentence of the rule that refused it.
import { ApiError, place, run } from "./api.js";
import { useEffect, useState } from "./dom.js";

const shown = new Set();
let number = 0;

/** Show a sentence in the status line of the page, and what to do next. */
export function say(text, isError = false, hint = "") {
  number += 1;
  for (const listener of shown) listener({ text, isError, hint, number });
}

/** The last sentence: {text, isError, hint, number}, or null. */
export function useSaid() {
  const [last, setLast] = useState(null);
  useEffect(() => {
    shown.add(setLast);
    return () => shown.delete(setLast);
  }, []);
  return last;
}

/**
 * Run a command that changes the board, under the name of the person, and show its sentence.
 * @param {string} command
 * @param {object} args
 * @param {{isRefusalShown?: boolean}} [how] `isRefusalShown`: the caller shows the sentence of a rule that refuses it.
 * @returns {Promise<string>} The text that the command line would print.
 * @throws {ApiError} The board refused.
 */
export async function act(command, args, { isRefusalShown = false } = {}) {
  try {
    if (place.isReadOnly) throw new ApiError({ code: "read_only", message: "This server only shows the board", status: 403 });
    const text = await run(command, args, { asText: true });
    say(text.split("\n", 1)[0]);
    return text;
  } catch (error) {
    if (!isRefusalShown) say(error.message, true, error.hint);
    throw error;
  }
}
