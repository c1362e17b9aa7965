// An event as a sentence, with its times and tasks as such.
import { html } from "../lib/dom.js";
import { AgentLink, When } from "../lib/parts.js";

// Ids are those that the board makes: eight hexadecimal digits, and the steps of workflows below them.
const PARTS = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|\b[0-9a-f]{8}(?:\.[\w-]+)*\b)/;

/**
 * The sentence of an event of `timeline`, without its time.
 * @param {{event: {ts: string, agent: string, says: string}}} props
 */
export function Sentence({ event }) {
  // `says` begins with the time and the agent, which have their own columns.
  const begin = event.says.indexOf(`${event.agent} `);
  const text = begin < 0 ? event.says : event.says.slice(begin + event.agent.length + 1);
  return html`<${AgentLink} id=${event.agent} /> <${Linked} text=${text} />`;
}

/** A text with its times and the ids of tasks as such. */
export function Linked({ text }) {
  return text.split(PARTS).map((part, number) => {
    if (number % 2 === 0) return part;
    if (part.endsWith("Z")) return html`<${When} key=${number} moment=${part} />`;
    return html`<a key=${number} class="task-id" href=${`/tasks/${part}`}>${part}</a>`;
  });
}
