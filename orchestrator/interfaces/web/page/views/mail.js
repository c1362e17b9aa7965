/** Mail: the mailbox of the person and of any agent, threads, who has read what; send, reply, broadcast. */
import { place, run } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/dom.js";
import { useDraft } from "../lib/drafts.js";
import { useAnswer } from "../lib/live.js";
import { Markdown } from "../lib/markdown.js";
import { Action, AgentLink, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { VirtualList } from "../lib/virtual.js";
import { CommandForm, typed } from "../lib/form.js";
import { useQuery } from "../lib/address.js";

const MAIL = ["message.", "mail."];
const ROW = 62; // pixels of a message in the list
const URGENCIES = ["urgent", "high", "normal", "low"];
const KINDS = ["note", "work_assignment", "notification", "coordination_request", "status_update"];

export function View({ params, query }) {
  const [filter, setFilter] = useQuery({ box: place.person, unread: "", words: "", to: "" });
  const [isWriting, setIsWriting] = useState(query.has("to"));
  const { box, unread, words } = filter;
  return html`
    <div class="head">
      <h1>Mail</h1>
      <button type="button" class="primary" aria-expanded=${isWriting} onClick=${() => setIsWriting(!isWriting)}>Write a message</button>
    </div>
    ${isWriting ? html`<${Compose} to=${filter.to} onDone=${() => setIsWriting(false)} />` : null}
    <div class="split">
      <section aria-labelledby="box" class="split-list">
        <h2 id="box">${box === place.person ? "My mailbox" : html`Mailbox of <bdi>${box}</bdi>`}</h2>
        <${Filters} filter=${filter} onChange=${setFilter} />
        ${words
          ? html`<${Matches} words=${words} current=${params.id} />`
          : html`<${Inbox} box=${box} isUnread=${unread === "yes"} current=${params.id} />`}
      </section>
      <section class="split-main" aria-label="Thread">
        ${params.id ? html`<${Thread} id=${params.id} box=${box} />` : html`<${Empty}>Choose a message to see its thread.<//>`}
      </section>
    </div>
  `;
}

function Filters({ filter, onChange }) {
  const agents = useAnswer("agent list", {}, ["agent."]);
  const names = [...new Set([place.person, filter.box, ...(agents.value ?? []).map(({ id }) => id)])];
  const [words, setWords] = useState(filter.words);
  const search = (event) => {
    event.preventDefault();
    onChange({ words: words.trim() });
  };
  return html`<div class="bar">
    <label>Mailbox <select value=${filter.box} onChange=${(event) => onChange({ box: event.currentTarget.value, words: "" })}>
      ${names.map((name) => html`<option key=${name} value=${name}>${name === place.person ? `${name} (me)` : name}</option>`)}
    </select></label>
    <label class="check"><input type="checkbox" checked=${filter.unread === "yes"} onChange=${(event) => onChange({ unread: event.currentTarget.checked ? "yes" : "" })} />unread only</label>
    <form role="search" class="bar" onSubmit=${search}>
      <label>Search my mail <input type="search" value=${words} onInput=${typed(setWords)} /></label>
      <button type="submit">Search</button>
      ${filter.words ? html`<button type="button" onClick=${() => { setWords(""); onChange({ words: "" }); }}>All mail</button>` : null}
    </form>
  </div>`;
}

function Inbox({ box, isUnread, current }) {
  const inbox = useAnswer("mail inbox", { owner: box, unread: isUnread }, MAIL);
  if (inbox.error) return html`<${Failure} error=${inbox.error} />`;
  if (!inbox.value) return html`<p>Reading…</p>`;
  if (!inbox.value.length) return html`<${Empty}>${isUnread ? "No unread mail." : "No mail."}<//>`;
  const newest = inbox.value.toReversed();
  return html`<${VirtualList} items=${newest} height=${ROW} itemKey=${({ id }) => id} label="Messages"
    row=${(message) => html`<${Line} message=${message} isCurrent=${`${message.id}` === current} box=${box} />`} />`;
}

function Matches({ words, current }) {
  const matches = useAnswer("mail search", { words }, MAIL);
  if (matches.error) return html`<${Failure} error=${matches.error} />`;
  if (!matches.value) return html`<p>Searching…</p>`;
  if (!matches.value.length) return html`<${Empty}>No message has all these words.<//>`;
  return html`<${VirtualList} items=${matches.value} height=${ROW} itemKey=${({ id }) => id} label="Messages that match"
    row=${(message) => html`<${Line} message=${message} isCurrent=${`${message.id}` === current} box=${place.person} />`} />`;
}

/** A message in a list. */
function Line({ message, isCurrent, box }) {
  const { id, sender, subject, sent_at: sent, priority } = message;
  const isUnread = message.status === "new" || message.status === "unread";
  const status = message.acknowledged_at ? "acknowledged" : message.status;
  const query = box === place.person ? "" : `?box=${encodeURIComponent(box)}`;
  return html`<a class=${`mail-line${isUnread ? " unread" : ""}`} href=${`/mail/${id}${query}`} aria-current=${isCurrent ? "true" : undefined}>
    <span class="mail-subject"><bdi>${subject || "(no subject)"}</bdi></span>
    <span class="mail-facts"><bdi>${sender}</bdi> · <${When} moment=${sent} />${status ? ` · ${status}` : ""}${priority && priority !== "normal" ? ` · ${priority}` : ""}</span>
  </a>`;
}

function Thread({ id, box }) {
  const thread = useAnswer("mail thread", { id }, MAIL);
  useRead(thread.value, id);
  if (thread.error) return html`<${Failure} error=${thread.error} />`;
  if (!thread.value) return html`<p>Reading…</p>`;
  const current = thread.value.find((message) => `${message.id}` === id) ?? thread.value[0];
  return html`<h2><bdi>${current.subject || "(no subject)"}</bdi></h2>
    ${thread.value.map((message) => html`<${Message} key=${message.id} message=${message} isOpen=${message === current} />`)}
    <${Reply} key=${id} to=${current} />
    ${box !== place.person ? html`<p class="hint">You look into the mailbox of <bdi>${box}</bdi>: nothing is marked as read.</p>` : null}`;
}

// A name may be that of a method of every object.
const receiptOf = ({ receipts }, name) => (Object.hasOwn(receipts, name) ? receipts[name] : undefined);

/** Mark the opened message as read, if it is the person's: it was shown. */
function useRead(messages, id) {
  const message = messages?.find((each) => `${each.id}` === id);
  const mine = message && receiptOf(message, place.person);
  const isUnread = Boolean(mine) && !mine.read_at && !place.isReadOnly;
  useEffect(() => {
    // The board may refuse it, such as for a message that was archived meanwhile: then it is shown all the same.
    if (isUnread) run("mail read", { id: Number(id) }).catch(() => {});
  }, [isUnread, id]);
}

function Message({ message, isOpen }) {
  const { id, sender, subject, body, kind, priority, sent_at: sent, recipients, cc, queue, receipts, about } = message;
  const mine = receiptOf(message, place.person);
  const args = { id };
  return html`<article class=${`box${isOpen ? " current" : ""}`} aria-label=${`Message ${id} from ${sender}`}>
    <p class="mail-facts"><${AgentLink} id=${sender} /> to ${named([...recipients, ...(queue ? [`queue:${queue}`] : [])])}
      ${cc.length ? html`, copy to ${named(cc)}` : null} · <${When} moment=${sent} /> · ${kind.replaceAll("_", " ")}
      ${priority === "normal" ? "" : html` · <strong>${priority}</strong>`} · <a href=${`/mail/${id}`}>${id}</a></p>
    ${about ? html`<p class="mail-facts">about <${TaskLink} id=${about.task} />, ${about.event}</p>` : null}
    <h3><bdi>${subject}</bdi></h3>
    <${Markdown} text=${body} level=${3} isMail=${true} />
    <${Receipts} receipts=${receipts} />
    ${mine
      ? html`<div class="buttons">
          ${mine.acknowledged_at ? null : html`<${Action} command="mail ack" args=${args} label="Acknowledge" about=${subject} />`}
          ${mine.read_at ? html`<${Action} command="mail unread" args=${args} label="Mark as unread" about=${subject} />` : null}
          <${Action} command="mail archive" args=${{ ids: [id] }} label="Archive" about=${subject} />
          <${Action} command="mail delete" args=${{ ids: [id] }} label="Delete" about=${subject} danger=${true}
            confirm="Delete this message from your mailbox? The log keeps it." />
        </div>`
      : null}
  </article>`;
}

const named = (names) => names.map((name, at) => html`${at ? ", " : ""}<bdi>${name}</bdi>`);

function Receipts({ receipts }) {
  const all = Object.entries(receipts);
  if (!all.length) return null;
  const counts = ["acknowledged_at", "read_at", "delivered_at"].map((step) => all.filter(([, receipt]) => receipt[step]).length);
  return html`<details><summary>Read by ${counts[1]} of ${all.length}</summary>
    <ul>${all.map(([agent, receipt]) => html`<li key=${agent}><bdi>${agent}</bdi>: ${progress(receipt)}</li>`)}</ul>
  </details>`;
}

function progress({ delivered_at: delivered, read_at: read, acknowledged_at: acknowledged }) {
  if (acknowledged) return html`acknowledged <${When} moment=${acknowledged} />`;
  if (read) return html`read <${When} moment=${read} />`;
  if (delivered) return html`delivered <${When} moment=${delivered} />`;
  return "waits";
}

function Reply({ to }) {
  const [text, setText, forget] = useDraft(`reply ${to.id}`, "");
  return html`<${CommandForm} command="mail reply" args=${{ id: to.id, message: text }} label="Reply" onDone=${forget} name="Reply">
    <${Field} label=${`Reply to ${to.sender}`}><textarea required rows="4" value=${text} onInput=${typed(setText)}></textarea><//>
  <//>`;
}

const NOTHING = { to: "", subject: "", message: "", priority: "normal", kind: "note" };

/** Write to some agents, or to all. */
function Compose({ to, onDone }) {
  const [draft, setDraft, forget] = useDraft(to ? `mail to ${to}` : "mail", { ...NOTHING, to });
  const [isToAll, setIsToAll] = useState(false);
  const change = (name) => typed((text) => setDraft({ ...draft, [name]: text }));
  const { kind, to: whom, ...message } = draft;
  const done = () => {
    forget();
    onDone();
  };
  return html`<div class="box">
    <${CommandForm} name="Message" label=${isToAll ? "Broadcast" : "Send"} onDone=${done} onCancel=${onDone}
        command=${isToAll ? "mail broadcast" : "mail send"} args=${isToAll ? message : { ...message, kind, to: whom }}>
      <label class="check"><input type="checkbox" checked=${isToAll} onChange=${(event) => setIsToAll(event.currentTarget.checked)} />to all registered agents</label>
      ${isToAll
        ? null
        : html`<${Field} label="To: agents, @all, @ws:NAME, list:NAME or queue:NAME, with commas">
            <input required value=${whom} onInput=${change("to")} autocomplete="off" /><//>`}
      <${Field} label="Subject"><input required value=${draft.subject} onInput=${change("subject")} /><//>
      <${Field} label="Text, in markdown"><textarea rows="6" value=${draft.message} onInput=${change("message")}></textarea><//>
      <div class="bar">
        <label>Urgency <select value=${draft.priority} onChange=${change("priority")}>${URGENCIES.map((name) => html`<option key=${name}>${name}</option>`)}</select></label>
        ${isToAll
          ? null
          : html`<label>Kind <select value=${kind} onChange=${change("kind")}>${KINDS.map((name) => html`<option key=${name} value=${name}>${name.replaceAll("_", " ")}</option>`)}</select></label>`}
      </div>
    <//>
  </div>`;
}
