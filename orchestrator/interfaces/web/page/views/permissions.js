/** The permissions: what agents ask before they use a tool; allow it, or deny it with a reason. */
import { html, useState } from "../lib/dom.js";
import { useDraft } from "../lib/drafts.js";
import { useAnswer } from "../lib/live.js";
import { Action, AgentLink, Empty, Failure, Field, When } from "../lib/parts.js";
import { useSome } from "../lib/some.js";
import { typed } from "../lib/form.js";

export function View() {
  const requests = useAnswer("permission list", { all: true }, ["permission."]);
  const waiting = requests.value?.filter(({ status }) => status === "pending") ?? [];
  const answered = requests.value?.filter(({ status }) => status !== "pending").reverse() ?? [];
  const [shown, button] = useSome(answered);
  return html`
    <h1>Permissions</h1>
    ${requests.error ? html`<${Failure} error=${requests.error} />` : null}
    ${requests.value && !waiting.length ? html`<${Empty}>No request waits.<//>` : null}
    <ul class="plain requests">${waiting.map((request) => html`<${Request} key=${request.id} request=${request} />`)}</ul>
    ${answered.length
      ? html`<h2>Answered last</h2>
          <ul class="plain requests">${shown.map((request) => html`<${Answered} key=${request.id} request=${request} />`)}</ul>${button}`
      : null}
  `;
}

function Request({ request }) {
  const { id, agent, tool, until } = request;
  const [message, setMessage, forget] = useDraft(`permission ${id}`, "");
  const [always, setAlways] = useState("");
  const args = { request: id, always: always || null };
  return html`<li class="box">
    <h2><${AgentLink} id=${agent} /> asks for <span dir="auto">${tool}</span></h2>
    <p>Denied unless it is answered <${When} moment=${until} />.</p>
    <${Input} input=${request.tool_input} tool=${tool} />
    <${Field} label="Reason of a denial, for the agent">
      <input value=${message} onInput=${typed(setMessage)} /><//>
    <${Field} label="Answer all that fits this pattern so from now on, such as Bash(git:*); empty: only this request">
      <input value=${always} onInput=${typed(setAlways)} /><//>
    <div class="bar">
      <${Action} command="permission allow" args=${args} label="Allow" primary onDone=${forget} />
      <${Action} command="permission deny" args=${{ ...args, message }} label="Deny" danger onDone=${forget} />
    </div>
  </li>`;
}

function Answered({ request }) {
  const { agent, tool, status, answered_by: by, answered_at: at, message } = request;
  return html`<li class="box">
    <p><strong>${status}</strong>${by ? html` by <${AgentLink} id=${by} /> <${When} moment=${at} />` : null}:
      ${" "}<${AgentLink} id=${agent} /> asked for <span dir="auto">${tool}</span></p>
    ${message ? html`<p dir="auto">${message}</p>` : null}
    <details><summary>What it asked</summary><${Input} input=${request.tool_input} tool=${tool} /></details>
  </li>`;
}

/** The whole input of a tool: a person must see all of what is allowed, with what is invisible as escapes. */
function Input({ input, tool }) {
  const text = JSON.stringify(input, null, 2).replace(INVISIBLE, escaped);
  return html`<pre class="input" tabindex="0" role="region" aria-label=${`Input of ${tool}`}>${text}</pre>`;
}

const INVISIBLE = /[^\P{C}\n]|[\u2028\u2029\u00ad\ufe00-\ufe0f]/gu;
const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
