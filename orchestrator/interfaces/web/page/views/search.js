// Search over everything that the board has: tasks, results, notes, evidence, mail, knowledge, decisions, goals, events.
import { useAnswer } from "../lib/live.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { AgentLink, Empty, Failure, Marked, When } from "../lib/parts.js";
import { useQuery } from "../lib/address.js";

const KINDS = ["task", "result", "note", "evidence", "message", "knowledge", "decision", "goal", "event"];
const MOST = 100;
const PAUSE = 250; // milliseconds without a key, after which the words are searched

/** The view. */
export function View() {
  const [query, change] = useQuery({ q: "", in: "" });
  const words = useSettled(query.q.trim());
  return html`
    <h1 tabindex="-1">Search</h1>
    <form class="search-form" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label class="field search-words"><span>Words; <code>OR</code>, <code>NOT</code>, <code>"a phrase"</code> and <code>begin*</code> work</span>
        <input type="search" data-first autocomplete="off" spellcheck=${false} value=${query.q} onInput=${(event) => change({ q: event.currentTarget.value })} /></label>
      <label class="field"><span>In</span>
        <select value=${query.in} onChange=${(event) => change({ in: event.currentTarget.value })}>
          <option value="">Everything</option>
          ${KINDS.map((kind) => html`<option key=${kind} value=${kind}>${kind}</option>`)}
        </select></label>
    </form>
    ${words ? html`<${Results} words=${words} kind=${query.in} />` : html`<${Empty}>Tasks, results, notes, evidence, mail, knowledge, decisions, goals and events are searched.<//>`}`;
}

/** A value that has not changed for a while. */
function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(setSettled, PAUSE, value);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function Results({ words, kind }) {
  // They stay as they are while events come: a list that moves under the eye cannot be read.
  const { value, error, isLoading } = useAnswer("search", { words, kinds: kind || null, limit: MOST });
  if (error) return html`<${Failure} error=${error} />`;
  const count = !value ? "Searching…" : value.length === MOST ? `The first ${MOST}` : `${value.length} ${value.length === 1 ? "place" : "places"}`;
  return html`
    <p class="hint" role="status">${count}</p>
    ${value && !isLoading && !value.length && html`<${Empty}>Nothing has these words.<//>`}
    <ol class="search-results">${value?.map((hit) => html`<${Hit} key=${`${hit.kind} ${hit.key} ${hit.number}`} hit=${hit} />`)}</ol>`;
}

function Hit({ hit }) {
  return html`
    <li class="search-hit">
      <h2><a href=${addressOf(hit)}><${Marked} text=${hit.title || `${hit.kind} ${hit.key}`} marks=${hit.title ? hit.title_marks : []} /></a></h2>
      <p class="search-snippet"><${Marked} text=${hit.snippet} marks=${hit.marks} /></p>
      <p class="hint"><span class="badge">${hit.kind}</span> ${hit.task && html`<code>${hit.task}</code> `}${hit.agent && html`<${AgentLink} id=${hit.agent} /> `}<${When} moment=${hit.ts} /></p>
    </li>`;
}

/** Where a hit is shown. */
function addressOf(hit) {
  const key = encodeURIComponent(hit.key);
  if (hit.kind === "knowledge") return `/knowledge/${key}`;
  if (hit.kind === "decision") return `/decisions/${key}`;
  if (hit.kind === "message") return `/mail/${key}`;
  if (hit.kind === "goal") return "/numbers";
  return hit.task ? `/tasks/${encodeURIComponent(hit.task)}` : `/events?agent=${encodeURIComponent(hit.agent ?? "")}`;
}
