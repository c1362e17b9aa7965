/** Knowledge: the topics as pages; their history with differences; write, edit, delete, search within. */
import { html, useState } from "../lib/dom.js";
import { useDraft } from "../lib/drafts.js";
import { useAnswer } from "../lib/live.js";
import { Markdown } from "../lib/markdown.js";
import { Action, AgentLink, Empty, Failure, Field, When } from "../lib/parts.js";
import { CommandForm, typed } from "../lib/form.js";
import { Shelf, topicPath } from "./shelf.js";
import { go } from "../lib/address.js";
import { TextForm, Versions } from "./writing.js";

export function View({ params, query }) {
  const isNew = query.has("new");
  return html`
    <div class="head"><h1>${params.topic ? html`<bdi>${params.topic}</bdi>` : "Knowledge and decisions"}</h1>
      <a class="button" href="/knowledge?new">Write a topic</a> <a class="button" href="/decisions?new">Record a decision</a></div>
    <div class="split">
      <${Shelf} topic=${params.topic} />
      <div class="split-main">
        ${params.topic
          ? html`<${Topic} topic=${params.topic} />`
          : isNew
            ? html`<${NewTopic} />`
            : html`<${Empty}>Choose a topic or a decision.<//>`}
      </div>
    </div>`;
}

function Topic({ topic }) {
  const document = useAnswer("knowledge read", { topic }, ["knowledge."]);
  const [shown, setShown] = useState("text");
  const { value, error, reload } = document;
  if (error) return html`<${Failure} error=${error} />`;
  if (value === undefined) return html`<p>Reading…</p>`;
  if (value === null) return html`<${Empty}>There is no such topic. Its versions may be in the log.<//>${shown === "edit" ? null : html`<${History} topic=${topic} />`}`;
  const current = { digest: value.digest, text: value.text, tags: value.tags.join(", ") };
  const toggle = (what, label) =>
    html`<button type="button" aria-pressed=${shown === what} onClick=${() => setShown(shown === what ? "text" : what)}>${label}</button>`;
  return html`<section aria-label=${topic}>
    <p class="hint">${value.version ? `Version ${value.version}` : "Not recorded yet"}${value.edited ? ", edited by hand" : ""},
      by <${AgentLink} id=${value.author} />${value.updated_at ? html` <${When} moment=${value.updated_at} />` : null}
      ${value.tags.length ? ` · ${value.tags.join(", ")}` : ""}</p>
    <div class="buttons">${toggle("edit", "Edit")} ${toggle("history", "History")}
      <${Action} command="knowledge delete" args=${{ topic }} label="Delete" about=${topic} danger=${true} confirm="Delete this topic? Its versions stay in the log." /></div>
    ${shown === "edit"
      ? html`<${TextForm} name=${`topic ${topic}`} current=${current} fields=${[["tags", "Tags"]]} command="knowledge write" reload=${reload}
          args=${({ text, tags }, digest) => ({ topic, content: text, tags: words(tags), replaces: digest })} onDone=${() => setShown("text")} />`
      : shown === "history"
        ? html`<${History} topic=${topic} />`
        : html`<${Markdown} text=${value.text} level=${1} />`}
  </section>`;
}

// An empty word clears the tags; without any, they would stay.
const words = (text) => text.trim().split(/[\s,]+/).filter((word, at, all) => word || all.length === 1);

function History({ topic }) {
  const history = useAnswer("knowledge history", { topic }, ["knowledge."]);
  if (history.error) return html`<${Failure} error=${history.error} />`;
  if (!history.value) return html`<p>Reading…</p>`;
  const versions = history.value.map((each) => ({ ...each, moment: each.updated_at }));
  return html`<h2>History</h2><${Versions} key=${versions.length} versions=${versions} />`;
}

const EMPTY = { topic: "", text: "", tags: "" };

function NewTopic() {
  const [draft, setDraft, forget] = useDraft("new topic", EMPTY);
  const change = (name) => typed((text) => setDraft({ ...draft, [name]: text }));
  const done = () => {
    forget();
    go(topicPath(draft.topic));
  };
  return html`<h2>A new topic</h2>
    <${CommandForm} name="New topic" command="knowledge write" label="Write" onDone=${done}
        args=${{ topic: draft.topic, content: draft.text, tags: words(draft.tags), replaces: "" }}>
      <${Field} label="Name"><input required value=${draft.topic} onInput=${change("topic")} /><//>
      <${Field} label="Tags"><input value=${draft.tags} onInput=${change("tags")} /><//>
      <${Field} label="Text, in markdown"><textarea required rows="14" value=${draft.text} onInput=${change("text")}></textarea><//>
    <//>`;
}
