/** The locks: who holds what until when, who waits, and request, release and break. */
import { html, useState } from "../lib/dom.js";
import { place } from "../lib/api.js";
import { useAnswer } from "../lib/live.js";
import { Action, AgentLink, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { Groups } from "../lib/virtual.js";
import { CommandDialog, CommandForm, typed } from "../lib/form.js";

export function View() {
  const locks = useAnswer("lock list", {}, ["lock.", "task.", "agent."]);
  const [broken, setBroken] = useState("");
  return html`
    <h1>Locks</h1>
    <${Request} />
    ${locks.error ? html`<${Failure} error=${locks.error} />` : null}
    ${locks.value && !locks.value.length ? html`<${Empty}>No resource is locked.<//>` : null}
    ${locks.value?.length
      ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Held resources">
          <table>
            <thead><tr>
              <th scope="col">resource</th><th scope="col">agent</th><th scope="col">how</th>
              <th scope="col">since</th><th scope="col">until</th><th scope="col">change</th>
            </tr></thead>
            <${Groups} items=${locks.value.flatMap((lock) => rowsOf(lock, place.person, setBroken))} height=${44} row=${(row) => row} />
          </table>
        </div>`
      : null}
    ${broken ? html`<${Break} resource=${broken} onClose=${() => setBroken("")} />` : null}
  `;
}

function rowsOf({ resource, holders, waiting }, me, onBreak) {
  const name = html`<th scope="row" class="wraps" dir="auto">${resource}</th>`;
  const held = holders.map(
    ({ agent, since, until, shared, task, token }) => html`<tr key=${`${resource} ${token} ${agent}`}>
      ${name}<td><${AgentLink} id=${agent} /></td>
      <td>${task ? html`runs <${TaskLink} id=${task} />` : shared ? "shared" : "held"}</td>
      <td><${When} moment=${since} /></td><td><${When} moment=${until} /></td>
      <td><div class="actions">
        ${!task && agent === me
          ? html`<${Action} command="lock renew" args=${{ resource }} label="Renew" about=${resource} />
              <${Action} command="lock release" args=${{ resource }} label="Release" about=${resource} />`
          : null}
        ${!task && agent !== me
          ? html`<button type="button" class="danger" onClick=${() => onBreak(resource)} aria-label=${`Break ${resource}`}>Break</button>`
          : null}
        ${task ? html`<span class="hint">ends with its task</span>` : null}</div></td>
    </tr>`,
  );
  const queued = waiting.map(
    ({ agent, until, shared }) => html`<tr key=${`${resource} waits ${agent}`}>
      ${name}<td><${AgentLink} id=${agent} /></td><td>waits${shared ? ", to share it" : ""}</td>
      <td></td><td><${When} moment=${until} /></td><td></td>
    </tr>`,
  );
  return [...held, ...queued];
}

function Request() {
  const [resource, setResource] = useState("");
  const [ttl, setTtl] = useState("5m");
  const [shared, setShared] = useState(false);
  const done = (text) => text.startsWith("Lock acquired") && setResource("");
  return html`<${CommandForm} name="Request a lock" command="lock acquire" args=${{ resource, ttl, shared }} label="Request the lock" onDone=${done}>
    <div class="bar">
      <${Field} label="Resource: a name or a path such as src/**"><input required value=${resource} onInput=${typed(setResource)} /><//>
      <${Field} label="For"><input required size="6" value=${ttl} onInput=${typed(setTtl)} /><//>
      <label class="check"><input type="checkbox" checked=${shared} onChange=${(event) => setShared(event.currentTarget.checked)} />shared with others</label>
    </div>
  <//>`;
}

function Break({ resource, onClose }) {
  const [reason, setReason] = useState("");
  return html`<${CommandDialog} title=${`Break the lock on ${resource}`} label="Break the lock" danger=${true}
      command="lock break" args=${{ resource, reason }} onClose=${onClose}>
    <p>All its holders lose it at once.</p>
    <${Field} label="Reason"><input value=${reason} onInput=${typed(setReason)} /><//>
  <//>`;
}
