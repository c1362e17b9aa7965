// The list beside topics and decisions, with the search within their texts.
import { html, useState } from "../lib/dom.js";
import { useAnswer } from "../lib/live.js";
import { Empty, Failure, Marked } from "../lib/parts.js";
import { Groups } from "../lib/virtual.js";
import { typed } from "../lib/form.js";
import { useQuery } from "../lib/address.js";

const WRITTEN = ["knowledge.", "decision."];

/** The addresses of the parts of the shelf. */
export const topicPath = (topic) => `/knowledge/${encodeURIComponent(topic)}`;
export const decisionPath = (number) => `/decisions/${number}`;

/**
 * The topics and the decisions, or those that have the words of the search.
 * @param {{topic?: string, number?: string}} props  The one that is shown.
 */
export function Shelf({ topic, number }) {
  const [filter, setFilter] = useQuery({ words: "" });
  const [words, setWords] = useState(filter.words);
  const search = (event) => {
    event.preventDefault();
    setFilter({ words: words.trim() });
  };
  const all = () => {
    setWords("");
    setFilter({ words: "" });
  };
  return html`<nav class="split-list" aria-label="Knowledge and decisions">
    <form role="search" class="bar" onSubmit=${search}>
      <label>Search within <input type="search" value=${words} onInput=${typed(setWords)} /></label>
      <button type="submit">Search</button>
      ${filter.words ? html`<button type="button" onClick=${all}>All</button>` : null}
    </form>
    ${filter.words ? html`<${Matches} words=${filter.words} />` : html`<${All} topic=${topic} number=${number} />`}
  </nav>`;
}

function All({ topic, number }) {
  const topics = useAnswer("knowledge list", {}, ["knowledge."]);
  const decisions = useAnswer("decision list", {}, ["decision."]);
  return html`
    <h2>Topics</h2>
    ${topics.error ? html`<${Failure} error=${topics.error} />` : null}
    ${topics.value && !topics.value.length ? html`<${Empty}>No topics.<//>` : null}
    <${Groups} tag="ul" class="plain shelf" height=${30} items=${topics.value ?? []} row=${
      ({ name, tags }) => html`<li key=${name}><a href=${topicPath(name)} aria-current=${name === topic ? "page" : undefined}>${name}</a>
        ${tags.length ? html` <span class="hint">${tags.join(", ")}</span>` : null}</li>`} />
    <h2>Decisions</h2>
    ${decisions.error ? html`<${Failure} error=${decisions.error} />` : null}
    ${decisions.value && !decisions.value.length ? html`<${Empty}>No decisions.<//>` : null}
    <${Groups} tag="ul" class="plain shelf" height=${30} items=${(decisions.value ?? []).toReversed()} row=${
      (each) => html`<li key=${each.number}><a class=${each.status} href=${decisionPath(each.number)}
        aria-current=${`${each.number}` === number ? "page" : undefined}>${each.number}. ${each.title}</a>
        ${each.superseded_by ? html` <span class="hint">superseded by ${each.superseded_by}</span>` : null}</li>`} />`;
}

function Matches({ words }) {
  const matches = useAnswer("search", { words, kinds: ["knowledge", "decision"], limit: 50 }, WRITTEN);
  if (matches.error) return html`<${Failure} error=${matches.error} />`;
  if (!matches.value) return html`<p>Searching…</p>`;
  if (!matches.value.length) return html`<${Empty}>No text has these words.<//>`;
  return html`<ul class="plain shelf">${matches.value.map(
    ({ kind, key, title, snippet, marks }) => html`<li key=${`${kind} ${key}`}>
      <a href=${kind === "decision" ? decisionPath(key) : topicPath(key)}>${kind === "decision" ? `${key}. ${title}` : title}</a>
      <p class="hint"><${Marked} text=${snippet} marks=${marks} /></p></li>`,
  )}</ul>`;
}
