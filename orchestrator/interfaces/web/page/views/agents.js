/** The agents: their state, what they have, who did what when, and what a person may change about them. */
import { useQuery } from "../lib/address.js";
import { html, useEffect, useMemo, useState } from "../lib/dom.js";
import { useAnswer } from "../lib/live.js";
import { AgentLink, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { useSome } from "../lib/some.js";
import { Groups } from "../lib/virtual.js";
import { Timeline } from "../lib/timeline.js";
import { CommandDialog, typed } from "../lib/form.js";

const CHANGES = ["agent.", "session.", "task.", "lock.", "message.", "mail."];
const CHARTED = 40; // agents of the chart at first
const PRESENCE = 15_000; // milliseconds after which an agent can be silent without an event

export function View({ params }) {
  const agents = useAnswer("agent list", {}, CHANGES);
  const [edited, setEdited] = useState(null);
  useEvery(PRESENCE, agents.reload);
  const close = () => setEdited(null);
  const [filter, setFilter] = useQuery({ text: "" });
  const shown = agents.value?.filter((agent) => (params.id ? agent.id === params.id : isFound(agent, filter.text)));
  return html`
    <div class="head">
      <h1>${params.id ? html`Agent <bdi>${params.id}</bdi>` : "Agents"}</h1>
      ${params.id
        ? html`<a href="/agents">All agents</a>`
        : html`<label>Filter <input type="search" value=${filter.text} onInput=${(event) => setFilter({ text: event.currentTarget.value })} /></label>
            <button type="button" onClick=${() => setEdited({ form: "register", agent: null })}>Register an agent</button>`}
    </div>
    ${agents.error ? html`<${Failure} error=${agents.error} />` : null}
    ${shown && !shown.length
      ? html`<${Empty}>${params.id ? "No agent of this name is known." : agents.value.length ? "No agent has this text." : html`No agent was here yet. <code>orc next</code> in its session gives it work.`}<//>`
      : null}
    ${shown?.length ? html`<${Table} agents=${shown} onEdit=${setEdited} />` : null}
    <${Work} agents=${shown ?? []} agent=${params.id} />
    ${params.id ? html`<${Past} agent=${params.id} />` : null}
    ${edited ? html`<${FORMS[edited.form]} agent=${edited.agent} onClose=${close} />` : null}
  `;
}

/** Whether an agent has all words of a text: in its name, type, capabilities or state. */
function isFound({ id, type, capabilities, presence, status }, text) {
  const facts = [id, type, ...capabilities, presence, status].join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => facts.includes(word));
}

/** Call a function at intervals, while the page is shown. */
function useEvery(milliseconds, callback) {
  useEffect(() => {
    const timer = setInterval(() => document.hidden || callback(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, callback]);
}

function Table({ agents, onEdit }) {
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Agents">
    <table class="agents" aria-rowcount=${agents.length + 1}>
      <thead><tr>
        <th scope="col">agent</th><th scope="col">state</th><th scope="col">work</th><th scope="col">load</th>
        <th scope="col">mail</th><th scope="col">locks</th><th scope="col">seen</th><th scope="col">change</th>
      </tr></thead>
      <${Groups} items=${agents} height=${66} row=${(agent) => html`<${Row} key=${agent.id} agent=${agent} onEdit=${onEdit} />`} />
    </table>
  </div>`;
}

function Row({ agent, onEdit }) {
  const { id } = agent;
  const state = agent.status === "retired" ? "retired" : agent.presence;
  const edit = (form, label) =>
    html`<button type="button" onClick=${() => onEdit({ form, agent })} aria-label=${`${label}: ${id}`}>${label}</button>`;
  return html`<tr>
    <th scope="row"><${AgentLink} id=${id} />
      <div class="hint">${agent.type}${agent.capabilities.length ? `: ${agent.capabilities.join(", ")}` : ""}</div></th>
    <td><span class=${`presence presence-${PRESENCES.includes(state) ? state : "gone"}`}>${state}</span>
      ${agent.session ? html`<div class="hint">start ${agent.session}</div>` : null}
      ${agent.do_not_disturb !== null ? html`<div class="hint">do not disturb</div>` : null}</td>
    <td><${Tasks} ids=${agent.tasks} how="works on" /><${Tasks} ids=${agent.reviews} how="reviews" />
      <${Tasks} ids=${agent.assigned} how="has not begun" />
      ${agent.hook && !agent.tasks.includes(agent.hook) ? html`<${Tasks} ids=${[agent.hook]} how="on its hook" />` : null}</td>
    <td class="number"><${Load} load=${agent.load} most=${agent.max_load} /></td>
    <td class="number"><a href=${`/mail?box=${encodeURIComponent(id)}`} aria-label=${`Mailbox of ${id}: ${agent.unread} unread`}>${agent.unread}</a></td>
    <td>${agent.locks.length ? html`<ul class="plain">${agent.locks.map((name) => html`<li key=${name}>${name}</li>`)}</ul>` : null}</td>
    <td>${agent.last_seen ? html`<${When} moment=${agent.last_seen} />` : "never"}</td>
    <td><div class="actions">
      <a class="button" href=${`/mail?to=${encodeURIComponent(id)}`} aria-label=${`Write to ${id}`}>Write to</a>
      ${agent.status === "retired" ? null : edit("assign", "Give a task")}
      ${edit("register", agent.status === "active" ? "Edit" : "Register")}
      ${edit("rename", "Rename")}
      ${agent.status === "active" ? edit("retire", "Retire") : null}</div></td>
  </tr>`;
}

const PRESENCES = ["waiting", "working", "online", "idle", "silent", "gone", "retired"];

function Tasks({ ids, how }) {
  if (!ids.length) return null;
  return html`<div>${how} ${ids.map((id) => html`<${TaskLink} key=${id} id=${id} /> `)}</div>`;
}

function Load({ load, most }) {
  if (most === null) return load;
  const part = most ? Math.min(1, load / most) : 1;
  return html`${load}/${most}
    <svg class="load" width="48" height="6" aria-hidden="true" focusable="false">
      <rect class="load-all" width="48" height="6" rx="3" /><rect class="load-part" width=${48 * part} height="6" rx="3" />
    </svg>`;
}

/** Register an agent, or change what it is. */
function Register({ agent, onClose }) {
  const [id, setId] = useState(agent?.id ?? "");
  const [type, setType] = useState(agent?.type ?? "general");
  const [words, setWords] = useState(agent?.capabilities.join(", ") ?? "");
  const [most, setMost] = useState(agent?.max_load ?? "");
  const args = { id, type, capabilities: words.split(/[\s,]+/).filter(Boolean), max_load: most === "" ? null : Number(most) };
  return html`<${CommandDialog} title=${agent ? `Change ${agent.id}` : "Register an agent"} label=${agent ? "Save" : "Register"}
      command="agent register" args=${args} onClose=${onClose}>
    ${agent ? null : html`<${Field} label="Name"><input required value=${id} onInput=${typed(setId)} /><//>`}
    <${Field} label="Type"><input required value=${type} onInput=${typed(setType)} /><//>
    <${Field} label="Types and labels of tasks that it suits; none: all"><input value=${words} onInput=${typed(setWords)} /><//>
    <${Field} label="Tasks that it may have at once; empty: any number">
      <input type="number" min="0" max="999999" value=${most} onInput=${typed(setMost)} /><//>
  <//>`;
}

function Assign({ agent, onClose }) {
  const tasks = useAnswer("task list", { ready: true, limit: 200 }, ["task."]);
  const [task, setTask] = useState("");
  const [message, setMessage] = useState("");
  return html`<${CommandDialog} title=${`Give ${agent.id} a task`} label="Give it" command="sling"
      args=${{ task, to: agent.id, message }} onClose=${onClose}>
    <${Field} label="Task: its id, or one that is ready">
      <input required list="ready-tasks" autocomplete="off" value=${task} onInput=${typed(setTask)} /><//>
    <datalist id="ready-tasks">${(tasks.value ?? []).map(({ id, title }) => html`<option key=${id} value=${id}>${title}</option>`)}</datalist>
    <${Field} label="Message with it"><input value=${message} onInput=${typed(setMessage)} /><//>
  <//>`;
}

function Rename({ agent, onClose }) {
  const [to, setTo] = useState(agent.id);
  return html`<${CommandDialog} title=${`Rename ${agent.id}`} label="Rename" command="agent rename" args=${{ id: agent.id, to }} onClose=${onClose}>
    <p>Its tasks, locks, mail and session are kept, and mail to the old name reaches it.</p>
    <${Field} label="New name"><input required value=${to} onInput=${typed(setTo)} /><//>
  <//>`;
}

function Retire({ agent, onClose }) {
  const [reason, setReason] = useState("");
  return html`<${CommandDialog} title=${`Retire ${agent.id}`} label="Retire" danger=${true} command="agent retire"
      args=${{ id: agent.id, reason }} onClose=${onClose}>
    <p>Everything that it holds is released. Tasks: ${agent.load}. Locks: ${agent.locks.length}.</p>
    <${Field} label="Reason"><input value=${reason} onInput=${typed(setReason)} /><//>
  <//>`;
}

const FORMS = { register: Register, assign: Assign, rename: Rename, retire: Retire };

const PERIODS = [
  ["1h", "1 hour", 3600],
  ["8h", "8 hours", 8 * 3600],
  ["24h", "1 day", 86400],
  ["7d", "7 days", 7 * 86400],
];

/** Who had which task in progress from when to when. */
function Work({ agents, agent }) {
  const [since, setSince] = useState("24h");
  const work = useAnswer("agent work", { since }, ["task.", "agent.renamed"]);
  const seconds = PERIODS.find(([name]) => name === since)[2];
  const to = useMemo(() => Date.now(), [work.value]);
  const rows = useMemo(() => rowsOf(agent ? (work.value ?? []).filter((span) => span.agent === agent) : (work.value ?? []), agents, to), [work.value, agents, to]);
  const [charted, button] = useSome(rows, CHARTED);
  return html`<section aria-labelledby="work">
    <div class="bar">
      <h2 id="work">Who did what</h2>
      <label>of the last <select value=${since} onChange=${(e) => setSince(e.target.value)}>
        ${PERIODS.map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
      </select></label>
    </div>
    ${work.error ? html`<${Failure} error=${work.error} />` : null}
    ${work.value && !rows.length ? html`<${Empty}>No agent worked in this time.<//>` : null}
    ${rows.length ? html`<${Timeline} label="Work of the agents" rows=${charted} from=${to - seconds * 1000} to=${to} unit="agent" />${button}` : null}
  </section>`;
}

/** What an agent did last, in sentences. */
function Past({ agent }) {
  const past = useAnswer("timeline", { agent, last: 50 }, [""]);
  if (past.error) return html`<${Failure} error=${past.error} />`;
  if (!past.value?.length) return null;
  return html`<section aria-labelledby="past"><h2 id="past">What it did last</h2>
    <ol class="plain past" reversed>${past.value.toReversed().map((event) => html`<li key=${event.id}><code>${event.id}</code> ${event.says}</li>`)}</ol>
    <p><a href=${`/events?agent=${encodeURIComponent(agent)}`}>All its events</a></p>
  </section>`;
}

/** The spans by agent, in the order of the table. */
function rowsOf(spans, agents, now) {
  const names = [...new Set([...agents.map(({ id }) => id), ...spans.map(({ agent }) => agent)])];
  const bars = Map.groupBy(spans, ({ agent }) => agent);
  return names.filter((name) => bars.has(name)).map((name) => ({
    label: name,
    href: `/agents/${encodeURIComponent(name)}`,
    bars: bars.get(name).map(({ task, title, since, until, status }) => ({
      from: Date.parse(since),
      to: until ? Date.parse(until) : now,
      label: title || task,
      kind: status,
      href: `/tasks/${encodeURIComponent(task)}`,
    })),
  }));
}
