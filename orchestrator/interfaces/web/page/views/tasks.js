// A task: all that is known about it, and all that can be done with it.
import { html, useRef, useState } from "../lib/dom.js";
import { act } from "../lib/actions.js";
import { CommandDialog, CommandForm } from "../lib/form.js";
import { useAnswer } from "../lib/live.js";
import { AgentNames } from "../lib/names.js";
import { Markdown } from "../lib/markdown.js";
import { Action, AgentLink, Badge, Failure, When } from "../lib/parts.js";
import { TRANSITIONS, MORE } from "./task-actions.js";
import { EditFact, Facts } from "./task-facts.js";
import { Linked, Sentence } from "./sentence.js";

export function View({ params }) {
  const { id } = params;
  const answer = useAnswer("task show", { task: id }, ["task.", "workflow.", "goal."]);
  const task = answer.value;
  const edit = (changes) => act("task edit", { task: id, ...changes });
  // The heading is the same element before and after the task is there: it has the focus.
  return html`
    <article class="task-view" aria-labelledby="task-title">
      <header class="task-head">
        <p class="task-crumbs">${task && html`<a href=${`/?text=${encodeURIComponent(task.workstream)}`}>${task.workstream}</a> <code>${task.id}</code> <${Badge} status=${task.status} />`}</p>
        <h1 id="task-title">${task ? html`<${EditFact} task=${task} name="title" edit=${edit} isTextHidden=${false} />` : `Task ${id}`}</h1>
        ${task && html`<${Standing} task=${task} />`}
      </header>
      ${answer.error && html`<${Failure} error=${answer.error} />`}
      ${!task && !answer.error && html`<p role="status">Reading the task.</p>`}
      ${task && html`<${Body} task=${task} edit=${edit} />`}
    </article>`;
}

function Body({ task, edit }) {
  return html`
    <${Actions} task=${task} />
    <div class="task-columns">
      <div class="task-main">
        <${Text} task=${task} name="description" title="Description" edit=${edit} />
        <${Text} task=${task} name="acceptance" title="Acceptance" edit=${edit} />
        ${task.result && html`<${Part} title="Result"><${Markdown} text=${task.result} /><//>`}
        ${task.reason && html`<${Part} title="Reason"><p class="task-text"><${Linked} text=${task.reason} /></p><//>`}
        <${Proof} task=${task} />
        <${Merges} task=${task} />
        <${Notes} task=${task} />
        <${Mail} task=${task} />
        <${History} task=${task} />
      </div>
      <aside class="task-side" aria-label="Facts"><${Facts} task=${task} edit=${edit} /></aside>
    </div>`;
}

/** A long text with its editor. */
function Text({ task, name, title, edit }) {
  const text = task[name];
  return html`
    <${Part} title=${title}>
      ${text && html`<${Markdown} text=${text} />`}
      <${EditFact} task=${task} name=${name} edit=${edit} multiline />
    <//>`;
}

function Part({ title, count, children }) {
  const id = `task-${title.toLowerCase().replaceAll(" ", "-")}`;
  return html`
    <section class="task-part" aria-labelledby=${id}>
      <h2 id=${id}>${title}${count > 0 && html` <span class="task-count">${count}</span>`}</h2>
      ${children}
    </section>`;
}

/** Who has the task until when, and what keeps it back. */
function Standing({ task }) {
  const isHeld = task.status === "in_progress" || task.status === "assigned";
  return html`
    <div class="task-standing">
      ${isHeld && html`<p>With <${AgentLink} id=${task.assigned_to} />${task.lease_until && html`; the lease ends <${When} moment=${task.lease_until} />`}</p>`}
      ${task.waits_for === "merge" && html`<p>Its branch <code>${task.proposal?.branch}</code> waits to be merged into <code>${task.proposal?.target}</code>.</p>`}
      ${task.reviewer && task.status === "in_review" && html`<p>In review by <${AgentLink} id=${task.reviewer} />${task.review_until && html`; that ends <${When} moment=${task.review_until} />`}</p>`}
      ${task.kept_back_by.length > 0 && html`
        <ul class="task-kept-back" aria-label="Kept back by">
          ${task.kept_back_by.map((blocker, number) => html`<li key=${number}><${Linked} text=${blocker.says} /></li>`)}
        </ul>`}
    </div>`;
}

/** The transitions that the status of the task allows, and what is possible with every task. */
function Actions({ task }) {
  const [asked, setAsked] = useState(null);
  const back = useRef(null);
  const ask = (name) => (event) => {
    back.current = event.currentTarget;
    setAsked(name);
  };
  const close = () => {
    setAsked(null);
    back.current?.isConnected && back.current.focus();
  };
  const open = task.signals.filter((signal) => !signal.given_at);
  const button = ([name, action]) =>
    action.fields
      ? html`<button key=${name} type="button" class=${action.danger ? "danger" : ""} aria-haspopup="dialog" onClick=${ask(name)}>${action.label}</button>`
      : html`<${Action} key=${name} command=${action.command} args=${{ task: task.id }} label=${action.label} />`;
  const all = { ...TRANSITIONS, ...MORE };
  return html`
    <div class="task-actions" role="group" aria-label="Actions">
      ${Object.entries(TRANSITIONS).filter(([name]) => task.allowed.includes(name)).map(button)}
      ${open.length > 0 && button(["signal", MORE.signal])}
    </div>
    <details class="task-more">
      <summary>More actions</summary>
      <div class="task-actions" role="group" aria-label="More actions">
        ${Object.entries(MORE).filter(([name]) => name !== "signal").map(button)}
      </div>
    </details>
    ${asked && html`<${AgentNames} /><${CommandDialog} ...${all[asked]} title=${`${all[asked].label}: ${task.title}`} args=${argsOf(all[asked], task)} onClose=${close} />`}`;
}

const argsOf = (action, task) => ({ ...(action.many ? { tasks: [task.id] } : { task: task.id }), ...action.args });

const OUTCOMES = { force: "completed by force", change: "reason for a change" };

/** What the checks of a task and its reviewers found. */
function Proof({ task }) {
  const reviews = task.evidence.filter((item) => item.kind === "review");
  const evidence = task.evidence.filter((item) => item.kind !== "review");
  return html`
    ${evidence.length > 0 && html`
      <${Part} title="Evidence" count=${evidence.length}>
        <ul class="task-evidence">${evidence.map((item, number) => html`<li key=${number}><${Evidence} item=${item} /></li>`)}</ul>
      <//>`}
    ${reviews.length > 0 && html`
      <${Part} title="Reviews" count=${reviews.length}>
        <ul class="task-evidence">${reviews.map((item, number) => html`
          <li key=${number}><span class=${item.passed ? "good" : "bad"}>${item.passed ? "Approved" : "Rejected"}</span> by <${AgentLink} id=${item.agent} />, <${When} moment=${item.at} />
            ${item.what && html`<p class="task-text">${item.what}</p>`}</li>`)}</ul>
      <//>`}`;
}

function Evidence({ item }) {
  const facts = [item.problem, item.seconds === null ? "" : `${item.seconds.toFixed(1)} s`, item.size === null ? "" : `${item.size} bytes, sha256 ${item.sha256}`];
  const head = html`
    <span class=${item.passed ? "good" : "bad"}>${OUTCOMES[item.kind] ?? (item.passed ? "Passed" : "Failed")}</span>
    ${item.kind in OUTCOMES ? "" : html` ${item.kind}`}${item.what && html` <code>${item.what}</code>`}
    <span class="task-small"> ${facts.filter(Boolean).join("; ")} <${AgentLink} id=${item.agent} />, <${When} moment=${item.at} /></span>`;
  const output = item.output?.replaceAll("\r\n", "\n").trimEnd();
  if (!output) return html`<p>${head}</p>`;
  return html`<p>${head}</p><details open=${!item.passed}><summary>Output</summary><pre tabindex="0" aria-label="Output">${output}</pre></details>`;
}

const NOTE = [{ name: "text", label: "New note", multiline: true, required: true }];

function Notes({ task }) {
  return html`
    <${Part} title="Notes" count=${task.notes.length}>
      <ul class="task-notes">
        ${task.notes.map((note, number) => html`<li key=${number}><p class="task-small"><${AgentLink} id=${note.agent} />, <${When} moment=${note.at} /></p><${Markdown} text=${note.text} /></li>`)}
      </ul>
      <${CommandForm} name="Note" command="task note" args=${{ task: task.id }} fields=${NOTE} label="Add the note" />
    <//>`;
}

/** The branches of the task in the merge queue, the last one first. */
function Merges({ task }) {
  const answer = useAnswer("merge list", { all: true }, ["merge."]);
  const mine = answer.value?.filter((each) => each.task === task.id).toReversed() ?? [];
  if (!mine.length) return null;
  return html`
    <${Part} title="Merges" count=${mine.length}>
      <ul class="task-evidence">
        ${mine.map(({ number, branch, target, status, author, submitted_at: moment, reason, files }) => html`
          <li key=${number}><code>${branch}</code> into <code>${target}</code> <${Badge} status=${status} />
            <span class="task-small"> Submission ${number} by <${AgentLink} id=${author} />, <${When} moment=${moment} /></span>
            ${reason && html`<p class="task-text">${reason}</p>`}
            ${files.length > 0 && html`<p class="task-small">In conflict: ${files.join(", ")}</p>`}</li>`)}
      </ul>
    <//>`;
}

/** The mail that names the task. */
function Mail({ task }) {
  const answer = useAnswer("search", { words: task.id, kinds: ["message"], limit: 50 }, ["message.sent"]);
  const messages = answer.value ?? [];
  if (!messages.length && !answer.error) return null;
  return html`
    <${Part} title="Mail" count=${messages.length}>
      ${answer.error && html`<${Failure} error=${answer.error} />`}
      <ul class="task-mail">
        ${messages.map((message) => html`
          <li key=${message.key}><a href=${`/mail/${message.key}`}>${message.title || `Message ${message.key}`}</a>
            <span class="task-small"> <${AgentLink} id=${message.agent} />, <${When} moment=${message.ts} /></span>
            ${message.snippet && html`<p class="task-text">${message.snippet}</p>`}</li>`)}
      </ul>
    <//>`;
}

const SHOWN = 50;

/** What happened to the task in sentences, the newest first. */
function History({ task }) {
  const [last, setLast] = useState(SHOWN);
  const answer = useAnswer("timeline", { subject: task.id, last }, ["task.", "workflow."]);
  const events = answer.value?.toReversed() ?? [];
  return html`
    <${Part} title="History">
      ${answer.error && html`<${Failure} error=${answer.error} />`}
      <ol class="task-history" reversed>
        ${events.map((event) => html`<li key=${event.id}><span class="task-small"><${When} moment=${event.ts} /></span> <span class="task-sentence"><${Sentence} event=${event} /></span></li>`)}
      </ol>
      ${events.length === last && html`<button type="button" onClick=${() => setLast(last * 4)}>Older events</button>`}
      <p><a href=${`/events?task=${encodeURIComponent(task.id)}`}>Its events with their facts</a></p>
    <//>`;
}
