// Commands of the board over HTTP.

/** An error of the board: a sentence, and a hint what to do next. */
export class ApiError extends Error {
  constructor({ code, message, hint = "", status }) {
    super(message);
    Object.assign(this, { code, hint, status });
  }
}

/** The facts of this page that the server knows: {person, board, event, isReadOnly}; `event` is the last one of the log. */
export const place = (() => {
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  return { person: meta("orc-person"), board: meta("orc-board"), event: meta("orc-event"), isReadOnly: meta("orc-read-only") === "yes" };
})();

function key() {
  // `crypto.randomUUID` is missing where the page has no TLS.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function errorOf(reply) {
  let details = {};
  try {
    details = await reply.json();
  } catch {
    // an answer that is no problem of ours, such as that of a proxy
  }
  return new ApiError({
    code: details.code ?? "http",
    message: details.detail ?? `The server answered ${reply.status}`,
    hint: details.hint,
    status: reply.status,
  });
}

async function send(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError({ code: "unreachable", message: "The server does not answer", hint: "Is `orc serve` running?", status: 0 });
  }
}

/**
 * Run a command of the board.
 * @param {string} command Its words: `task claim`.
 * @param {Object<string, unknown>} args Its arguments by name; those that are null, undefined or false are left out.
 * @param {{method?: "GET" | "POST", asText?: boolean, signal?: AbortSignal}} [how] `GET` for one that only reads;
 *   `asText` for the text of the command line in place of its JSON.
 * @returns {Promise<any>} Its answer.
 * @throws {ApiError}
 */
export async function run(command, args = {}, { method = "POST", asText = false, signal } = {}) {
  const given = Object.entries(args).filter(([, value]) => value !== null && value !== undefined && value !== false);
  const path = `/api/commands/${command.split(" ").map(encodeURIComponent).join("/")}`;
  const headers = asText ? { Accept: "text/plain" } : {};
  let reply;
  if (method === "GET") {
    const query = new URLSearchParams();
    for (const [name, value] of given) for (const item of [value].flat()) query.append(name, String(item));
    reply = await send(`${path}?${query}`, { headers, signal });
  } else {
    // With a key a change happens once, also when its answer was lost and it is sent again.
    const body = JSON.stringify(Object.fromEntries(given));
    const options = { method, body, headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": key() } };
    reply = await send(path, options).catch(() => send(path, options));
  }
  if (!reply.ok) throw await errorOf(reply);
  return asText ? reply.text() : reply.json();
}
