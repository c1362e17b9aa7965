// The log: the newest event first, older pages as they are scrolled to, new ones as they happen.
import { html, useCallback, useEffect, useRef, useState } from "../lib/dom.js";
import { run } from "../lib/api.js";
import { useAnswer, useEvents } from "../lib/live.js";
import { Empty, Failure, When } from "../lib/parts.js";
import { VirtualList } from "../lib/virtual.js";
import { useQuery } from "../lib/address.js";
import { Sentence } from "./sentence.js";
import { Tree } from "./tree.js";

const PAGE = 200;
const ROW = 40;
const NOUNS = ["task", "message", "agent", "session", "lock", "knowledge", "decision", "goal", "convoy", "workflow", "workstream", "permission", "subscription", "cycle", "board"];

/** Pages of the log, newest first: {events, older(), isWhole, error, waiting, show()}. */
function useLog(filters, isFollowing) {
  const [log, setLog] = useState({ events: null, isWhole: false, error: null, waiting: [] });
  const key = JSON.stringify(filters);
  const current = useRef(null);
  const following = useRef(isFollowing);
  following.current = isFollowing;

  // One reader for each choice of filters; answers for an earlier choice are dropped.
  useEffect(() => {
    const reader = { key, newest: 0, oldest: null, isBusy: false, again: false, isWhole: false };
    current.current = reader;
    const isCurrent = () => current.current === reader;
    const args = { ...filters, last: PAGE };
    const change = (make) => isCurrent() && setLog(make);
    const failed = (error) => change((before) => ({ ...before, error }));
    reader.first = async () => {
      try {
        const page = await run("timeline", args, { method: "GET" });
        reader.newest = page.at(-1)?.id ?? 0;
        reader.oldest = page[0]?.id ?? null;
        reader.isWhole = page.length < PAGE;
        change(() => ({ events: page.toReversed(), isWhole: reader.isWhole, error: null, waiting: [] }));
      } catch (error) {
        failed(error);
      }
    };
    reader.older = async () => {
      if (reader.isBusy || reader.isWhole || reader.oldest === null) return;
      reader.isBusy = true;
      try {
        const page = await run("timeline", { ...args, before: reader.oldest }, { method: "GET" });
        reader.oldest = page[0]?.id ?? reader.oldest;
        reader.isWhole = page.length < PAGE;
        change((before) => ({ ...before, events: [...before.events, ...page.toReversed()], isWhole: reader.isWhole, error: null }));
      } catch (error) {
        failed(error);
      }
      reader.isBusy = false;
    };
    reader.newer = async () => {
      // At most one request at a time; what happens meanwhile is one more.
      if (reader.isReading) {
        reader.again = true;
        return;
      }
      reader.isReading = true;
      do {
        reader.again = false;
        try {
          const page = await run("timeline", { ...args, since: `${reader.newest}` }, { method: "GET" });
          if (page.length === PAGE) {
            await reader.first(); // so many that there may be a gap
          } else if (page.length) {
            reader.newest = page.at(-1).id;
            const fresh = page.toReversed();
            change((before) => following.current
              ? { ...before, events: [...fresh, ...before.waiting, ...(before.events ?? [])], waiting: [], error: null }
              : { ...before, waiting: [...fresh, ...before.waiting], error: null });
          }
        } catch (error) {
          failed(error);
        }
      } while (reader.again && isCurrent());
      reader.isReading = false;
    };
    setLog({ events: null, isWhole: false, error: null, waiting: [] });
    reader.ready = reader.first();
    return () => {
      current.current = null;
    };
  }, [key]);
  useEvents(useCallback(() => {
    const reader = current.current;
    reader?.ready.then(reader.newer);
  }, []), []);
  const show = () => setLog((before) => ({ ...before, events: [...before.waiting, ...(before.events ?? [])], waiting: [] }));
  useEffect(() => {
    if (isFollowing) show();
  }, [isFollowing]);
  return { ...log, show, older: () => current.current?.older(), key };
}

export function View() {
  const [query, setQuery] = useQuery({ type: "", agent: "", task: "", follow: "yes" });
  const { type, agent, task, follow } = query;
  const filters = {};
  if (type) filters.type = type;
  if (agent) filters.agent = agent;
  if (task) filters.subject = task;
  const log = useLog(filters, follow === "yes");
  const agents = useAnswer("agent list", {}, ["agent."]);
  const [chosen, setChosen] = useState(null);
  const back = useRef(null);
  const open = (event, element) => {
    back.current = element;
    setChosen(event);
  };
  const close = () => {
    setChosen(null);
    back.current?.isConnected && back.current.focus();
  };
  return html`
    <div class="events-view">
      <header class="head">
        <h1>Events</h1>
        <form class="bar events-filter" role="search" aria-label="Which events" onSubmit=${(event) => event.preventDefault()}>
          <${Filter} label="Type" value=${type} placeholder="task.*" options=${NOUNS.map((noun) => `${noun}.*`)} onChange=${(value) => setQuery({ type: value })} />
          <${Filter} label="Agent" value=${agent} options=${(agents.value ?? []).map((each) => each.id)} onChange=${(value) => setQuery({ agent: value })} />
          <${Filter} label="Task or workstream" value=${task} onChange=${(value) => setQuery({ task: value })} />
          <label class="check"><input type="checkbox" checked=${follow === "yes"} onChange=${(event) => setQuery({ follow: event.currentTarget.checked ? "yes" : "no" })} /> Follow</label>
        </form>
      </header>
      ${log.error && html`<${Failure} error=${log.error} />`}
      <p class="events-count" role="status">
        ${log.events === null ? !log.error && "Reading the log." : `${log.events.length}${log.isWhole ? "" : " and more"} ${log.isWhole && log.events.length === 1 ? "event" : "events"}.`}
      </p>
      ${log.waiting.length > 0 && html`<button type="button" class="events-new" onClick=${log.show}>Show ${log.waiting.length} new ${log.waiting.length === 1 ? "event" : "events"}</button>`}
      <div class=${`events-columns${chosen ? " open" : ""}`}>
        ${log.events?.length === 0 && html`<${Empty}>No such event.<//>`}
        ${log.events?.length > 0 && html`
          <${VirtualList} key=${log.key} items=${log.events} height=${ROW} label="Events, the newest first" itemKey=${(event) => event.id} onEnd=${log.older}
            row=${(event) => html`
              <button type="button" class="event-row" aria-expanded=${chosen?.id === event.id} onClick=${(click) => open(event, click.currentTarget)}>
                <${When} moment=${event.ts} />
                <span class="event-text"><${Plain} event=${event} /></span>
                <span class="event-type">${event.type}</span>
              </button>`} />`}
        ${chosen && html`<${Details} key=${chosen.id} event=${chosen} onClose=${close} />`}
      </div>
    </div>`;
}

/** The sentence without links: a row is a button, which can contain none. */
function Plain({ event }) {
  const text = event.says.slice(event.says.indexOf(event.agent));
  return text.replace(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/g, (moment) => new Date(moment).toLocaleString([], { dateStyle: "short", timeStyle: "short" }));
}

/** A filter that takes effect when typing rests on it: on Enter, when it is left, or a choice from its list. */
function Filter({ label, value, options = [], placeholder = "", onChange }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const id = `events-${label.split(" ")[0].toLowerCase()}`;
  const apply = (event) => onChange(event.currentTarget.value.trim());
  return html`
    <label>${label}
      <input type="search" value=${text} placeholder=${placeholder} list=${options.length ? id : undefined} autocomplete="off"
        onInput=${(event) => {
          setText(event.currentTarget.value);
          if (!event.currentTarget.value || options.includes(event.currentTarget.value)) apply(event);
        }}
        onChange=${apply}
        onKeyDown=${(event) => event.key === "Enter" && apply(event)} />
      ${options.length > 0 && html`<datalist id=${id}>${options.map((option) => html`<option key=${option} value=${option} />`)}</datalist>`}
    </label>`;
}

function Details({ event, onClose }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []);
  return html`
    <section class="event-details" aria-labelledby="event-heading" onKeyDown=${(key) => key.key === "Escape" && (key.stopPropagation(), onClose())}>
      <h2 id="event-heading" tabindex="-1" ref=${heading}>Event ${event.id}</h2>
      <button type="button" class="event-close" onClick=${onClose}>Close</button>
      <p class="event-sentence"><${Sentence} event=${event} /></p>
      <dl>
        <dt>Type</dt><dd><code>${event.type}</code></dd>
        <dt>When</dt><dd><${When} moment=${event.ts} /> <code>${event.ts}</code></dd>
        ${event.cause && html`<dt>Cause</dt><dd><${Tree} name="cause" value=${event.cause} /></dd>`}
      </dl>
      <${Tree} name="payload" value=${event.payload} isOpen />
    </section>`;
}
