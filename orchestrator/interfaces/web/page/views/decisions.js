/** Decisions: each as a page, with its history and differences; record, edit, supersede. */
import { html, useState } from "../lib/dom.js";
import { useDraft } from "../lib/drafts.js";
import { useAnswer } from "../lib/live.js";
import { Markdown } from "../lib/markdown.js";
import { AgentLink, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { CommandDialog, CommandForm, typed } from "../lib/form.js";
import { Shelf, decisionPath } from "./shelf.js";
import { go } from "../lib/address.js";
import { TextForm, Versions } from "./writing.js";

export function View({ params, query }) {
  const { number } = params;
  return html`
    <div class="head"><h1>${number ? `Decision ${number}` : "Decisions"}</h1>
      <a class="button" href="/knowledge?new">Write a topic</a> <a class="button" href="/decisions?new">Record a decision</a></div>
    <div class="split">
      <${Shelf} number=${number} />
      <div class="split-main">
        ${number
          ? html`<${Decision} number=${number} />`
          : query.has("new")
            ? html`<${NewDecision} />`
            : html`<${Empty}>Choose a topic or a decision.<//>`}
      </div>
    </div>`;
}

function Decision({ number }) {
  const decision = useAnswer("decision show", { number }, ["decision."]);
  const [shown, setShown] = useState("text");
  const [isSuperseding, setIsSuperseding] = useState(false);
  const { value, error, reload } = decision;
  if (error && !value) return html`<${Failure} error=${error} />`;
  if (!value) return html`<p>Reading…</p>`;
  const { title, text, digest, status, superseded_by: newer, task } = value;
  const toggle = (what, label) =>
    html`<button type="button" aria-pressed=${shown === what} onClick=${() => setShown(shown === what ? "text" : what)}>${label}</button>`;
  return html`<article aria-label=${`Decision ${number}`}>
    <h2><bdi>${title}</bdi></h2>
    <p class="hint">${status}${newer ? html` by <a href=${decisionPath(newer)}>decision ${newer}</a>` : null},
      decided by <${AgentLink} id=${value.decided_by} /> <${When} moment=${value.decided_at} />
      ${task ? html` for task <${TaskLink} id=${task} />` : null}</p>
    <div class="buttons">${toggle("edit", "Edit")} ${toggle("history", "History")}
      ${newer ? null : html`<button type="button" onClick=${() => setIsSuperseding(true)}>Supersede</button>`}</div>
    ${shown === "edit"
      ? html`<${TextForm} name=${`decision ${number}`} current=${{ digest, text, title }} fields=${[["title", "Title"]]} command="decision edit"
          args=${(draft, replaces) => ({ number: Number(number), title: draft.title, text: draft.text, replaces })}
          onDone=${() => setShown("text")} reload=${reload} />`
      : shown === "history"
        ? html`<${History} number=${number} />`
        : html`<${Markdown} text=${text} />`}
    ${isSuperseding ? html`<${Supersede} number=${number} onClose=${() => setIsSuperseding(false)} />` : null}
  </article>`;
}

function Supersede({ number, onClose }) {
  const decisions = useAnswer("decision list", {}, ["decision."]);
  const [by, setBy] = useState("");
  const newer = (decisions.value ?? []).filter((each) => each.number > Number(number));
  return html`<${CommandDialog} title=${`Supersede decision ${number}`} label="Supersede" command="decision supersede"
      args=${{ number: Number(number), by: Number(by) }} onClose=${onClose}>
    <${Field} label="By the newer decision"><select required value=${by} onChange=${typed(setBy)}>
      <option value="">${newer.length ? "Choose it" : "There is no newer one: record it first"}</option>
      ${newer.map((each) => html`<option key=${each.number} value=${each.number}>${each.number}. ${each.title}</option>`)}
    </select><//>
  <//>`;
}

function History({ number }) {
  const history = useAnswer("decision history", { number }, ["decision."]);
  if (history.error) return html`<${Failure} error=${history.error} />`;
  if (!history.value) return html`<p>Reading…</p>`;
  const versions = history.value.map((each) => ({ ...each, text: `# ${each.title}\n\n${each.text}`, moment: each.changed_at }));
  return html`<h3>History</h3><${Versions} key=${versions.length} versions=${versions} />`;
}

const PARTS = [
  ["context", "Context: the reason for the decision"],
  ["decision", "Decision: what was decided, and why"],
  ["consequences", "Consequences: what follows from it"],
];
const EMPTY = { title: "", context: "", decision: "", consequences: "", task: "" };

function NewDecision() {
  const [draft, setDraft, forget] = useDraft("new decision", EMPTY);
  const change = (name) => typed((text) => setDraft({ ...draft, [name]: text }));
  const done = (text) => {
    forget();
    const number = /\] (\d+):/.exec(text)?.[1];
    go(number ? decisionPath(number) : "/decisions");
  };
  return html`<h2>A new decision</h2>
    <${CommandForm} name="New decision" command="decision add" args=${{ ...draft, task: draft.task || null }} label="Record" onDone=${done}>
      <${Field} label="Title: what was decided, in one line"><input required value=${draft.title} onInput=${change("title")} /><//>
      ${PARTS.map(([name, label]) => html`<${Field} key=${name} label=${label}><textarea rows="4" value=${draft[name]} onInput=${change(name)}></textarea><//>`)}
      <${Field} label="Task that it is made for, by id"><input value=${draft.task} onInput=${change("task")} /><//>
    <//>`;
}
