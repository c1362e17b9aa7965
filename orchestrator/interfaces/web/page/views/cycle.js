/** The cycle: what to do in which order, what waits and why, who did what, and what came back. */
import { html, useState } from "../lib/dom.js";
import { CommandForm, typed } from "../lib/form.js";
import { useAnswer } from "../lib/live.js";
import { Action, AgentLink, Badge, Dialog, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { Markdown } from "../lib/markdown.js";
import { Linked } from "./sentence.js";
import { useSome } from "../lib/some.js";
import { Timeline, lasting } from "../lib/timeline.js";

const PLANNED = ["task.", "lock.", "agent.", "workstream.", "cycle.", "workflow."];
const COLLECTED = ["task.", "knowledge.", "cycle."];

const REST = 5; // so each takes a sixth of the server at most
const CHARTED = 40; // rows of the chart at first

export function View() {
  const plan = useAnswer("runner plan", { look: true }, PLANNED, REST);
  const [briefed, setBriefed] = useState(null);
  const current = plan.value ? plan.value.cycle - 1 : null;
  if (plan.value == null) {
    return html`<h1>Cycle</h1>${plan.error ? html`<${Failure} error=${plan.error} />` : html`<p>Making the plan…</p>`}`;
  }
  return html`
    <h1>${current ? `Cycle ${current}` : "No cycle has begun"}</h1>
    <${Begin} next=${plan.value.cycle} onDone=${plan.reload} />
    ${plan.error ? html`<${Failure} error=${plan.error} />` : null}
    <${Plan} plan=${plan.value} onBrief=${setBriefed} onDone=${plan.reload} />
    <${Collected} current=${current} />
    ${briefed && html`<${Brief} task=${briefed} onClose=${() => setBriefed(null)} />`}
  `;
}

/** Begin a cycle: the plan is kept in the log, and what comes back counts from there. */
function Begin({ next, onDone }) {
  const [most, setMost] = useState("8");
  return html`<${CommandForm} isBar name="Begin a cycle" command="runner plan" args=${{ max: Number(most) }} label=${`Begin cycle ${next}`} onDone=${onDone}>
    <${Field} label="Tasks side by side, at most"><input type="number" min="1" max="1000" required value=${most} onInput=${typed(setMost)} /><//>
  <//>`;
}

function Plan({ plan, onBrief, onDone }) {
  const { recommended_parallel: parallel, recommended_serial: serial, waiting, attention, left_out: more } = plan;
  const isEmpty = !(parallel.length || serial.length || waiting.length || attention.length);
  return html`<section aria-labelledby="plan">
    <h2 id="plan">The plan now</h2>
    ${isEmpty ? html`<${Empty}>There is nothing to plan: no task is open.<//>` : null}
    <${Attention} alerts=${attention} more=${more.attention} onDone=${onDone} />
    ${parallel.length > 0 &&
    html`<h3>Start side by side</h3>
      <div class="scrolls"><table>
        <thead><tr><th scope="col">agent</th><th scope="col">task</th><th scope="col">workstream</th>
          <th scope="col">priority</th><th scope="col">touches</th><th scope="col"><span class="visually-hidden">brief</span></th></tr></thead>
        <tbody>${parallel.map(
          ({ agent, task, workstream, touches }) => html`<tr key=${task.id}>
            <td>${agent ? html`<${AgentLink} id=${agent} />` : "whoever is free"}</td>
            <td><${TaskLink} id=${task.id} title=${task.title} /></td>
            <td>${workstream}</td><td class="number">${task.priority}</td><td>${touches.join(", ")}</td>
            <td><button type="button" onClick=${() => onBrief(task.id)} aria-label=${`Brief of ${task.title}`}>Brief</button></td>
          </tr>`,
        )}</tbody>
      </table></div>`}
    ${serial.length > 0 &&
    html`<h3>Do one after another</h3>
      <ul class="plain">${serial.map((group) => html`<${Serial} key=${group.resources.join(" ")} group=${group} onBrief=${onBrief} />`)}</ul>
      <${More} number=${more.recommended_serial} what="groups" />`}
    ${waiting.length > 0 && html`<${Waiting} tasks=${waiting} more=${more.waiting} />`}
    <${CriticalPath} path=${plan.critical_path} />
  </section>`;
}

function Waiting({ tasks, more }) {
  const [shown, button] = useSome(tasks);
  return html`<h3>Waiting</h3>
    <div class="scrolls"><table>
      <thead><tr><th scope="col">task</th><th scope="col">workstream</th><th scope="col">why</th></tr></thead>
      <tbody>${shown.map(
        (each) => html`<tr key=${each.task}>
          <td><${TaskLink} id=${each.task} title=${each.title} /></td><td>${each.workstream}</td>
          <td><ul class="plain">${each.reasons.map((reason, at) => html`<li key=${at}><${Linked} text=${reason} /></li>`)}</ul></td>
        </tr>`,
      )}</tbody>
    </table></div>
    ${button}<${More} number=${more} what="tasks" />`;
}

/** Tasks that exclude each other, in their order. */
function Serial({ group, onBrief }) {
  return html`<li>
    <p><strong>${group.resources.join(", ")}</strong>: ${group.reason}${group.waits_for.map(
      (hold) => html`${" "}<span key=${hold.agent}>(<${AgentLink} id=${hold.agent} /> has it; that ends <${When} moment=${hold.until} />)</span>`,
    )}</p>
    <ol>${group.tasks.map((name) => {
      const id = name.slice(name.lastIndexOf("/") + 1);
      return html`<li key=${id}><${TaskLink} id=${id} />${" "}
        <button type="button" onClick=${() => onBrief(id)} aria-label=${`Brief of ${name}`}>Brief</button></li>`;
    })}</ol>
    <${More} number=${group.left_out} what="tasks" />
  </li>`;
}

function CriticalPath({ path }) {
  if (!path.tasks.length) return null;
  return html`<h3>Critical path: ${lasting(path.minutes * 60_000)}</h3>
    <ol>${path.tasks.map(
      (each) => html`<li key=${each.task}><${TaskLink} id=${each.task} title=${each.title} />${" "}
        <${Badge} status=${each.status} />${" "}${lasting(each.minutes * 60_000)}${each.assumed ? " (assumed: it has no estimate)" : ""}</li>`,
    )}</ol>
    <${More} number=${path.left_out} what="tasks" />`;
}

/** What the leader of the cycle should look at, with the command that settles it. */
function Attention({ alerts, more, onDone }) {
  const [shown, button] = useSome(alerts);
  if (!alerts.length) return null;
  return html`<h3>Needs attention</h3>
    <ul class="plain alerts">${shown.map(
      (alert, at) => html`<li key=${`${alert.kind} ${alert.task ?? alert.agent} ${at}`}>
        <span><${Linked} text=${alert.text} />${alert.task ? html`${" "}<${TaskLink} id=${alert.task} title=${alert.title} />` : null}</span>
        <${Remedy} alert=${alert} onDone=${onDone} />
      </li>`,
    )}</ul>
    ${button}<${More} number=${more} what="alerts" />`;
}

const REMEDIES = {
  blocked: ["task unblock", "Unblock"],
  in_review: ["task approve", "Approve"],
  signal: ["task signal", "Give the signal"],
};

function Remedy({ alert, onDone }) {
  if (!Object.hasOwn(REMEDIES, alert.kind)) return null;
  const [command, label] = REMEDIES[alert.kind];
  return html`<${Action} command=${command} args=${{ task: alert.task }} label=${label} about=${alert.title} onDone=${onDone} />`;
}

/** What came back in a cycle: as bars over time, and in lists; it can be kept as a topic. */
function Collected({ current }) {
  const [chosen, setChosen] = useState(null);
  const cycle = chosen ?? current;
  const args = current ? { cycle } : {};
  const collected = useAnswer("runner collect", args, COLLECTED, REST);
  const value = collected.value;
  return html`<section aria-labelledby="collected">
    <h2 id="collected">What came back</h2>
    ${current > 1 &&
    html`<div class="bar">
      <button type="button" aria-disabled=${cycle <= 1} onClick=${() => setChosen(Math.max(1, cycle - 1))}>Cycle before</button>
      <strong>Cycle ${cycle}</strong>
      <button type="button" aria-disabled=${cycle >= current} onClick=${() => setChosen(cycle + 1 >= current ? null : cycle + 1)}>Cycle after</button>
    </div>`}
    ${collected.error && html`<${Failure} error=${collected.error} />`}
    ${value && (value.cycle ?? null) === (cycle || null) && html`<${Report} report=${value} onDone=${collected.reload} />`}
  </section>`;
}

function Report({ report, onDone }) {
  const { completed_this_cycle: done, failed, still_in_progress: running, added, knowledge, agents } = report;
  const isEmpty = !(done.length || failed.length || running.length || added.length || knowledge.length);
  return html`
    <p>${report.started_at ? html`From <${When} moment=${report.started_at} />` : "From the beginning"} to ${
      report.ended_at ? html`<${When} moment=${report.ended_at} />` : "now"
    }.</p>
    ${isEmpty ? html`<${Empty}>Nothing came back yet.<//>` : null}
    <${Gantt} report=${report} />
    <${Returned} title="Finished" tasks=${done} text="result" />
    <${Returned} title="Failed" tasks=${failed} text="reason" />
    <${Running} tasks=${running} />
    ${added.length > 0 &&
    html`<details><summary>Added (${added.length})</summary>
      <ul class="plain">${added.map(
        (each) => html`<li key=${each.task_id}><${TaskLink} id=${each.task_id} title=${each.title} /> by <${AgentLink} id=${each.agent} /></li>`,
      )}</ul></details>`}
    ${knowledge.length > 0 &&
    html`<h3>Knowledge (${knowledge.length})</h3>
      <ul class="plain">${knowledge.map(
        (each) => html`<li key=${each.topic}><a href=${`/knowledge/${encodeURIComponent(each.topic)}`}>${each.topic}</a> ${each.change} by <${AgentLink} id=${each.agent} /></li>`,
      )}</ul>`}
    <${Shares} agents=${agents} />
    <${Keep} cycle=${report.cycle} onDone=${onDone} />`;
}

/** The work of a cycle as bars: who had which task, from when to when, and how it ended. */
function Gantt({ report }) {
  const end = Date.parse(report.ended_at ?? report.collected_at);
  const ended = (tasks, kind) =>
    tasks
      .filter((each) => each.seconds !== null)
      .map((each) => ({ ...each, kind, to: Date.parse(each.at), from: Date.parse(each.at) - each.seconds * 1000 }));
  const bars = [
    ...ended(report.completed_this_cycle, "done"),
    ...ended(report.failed, "failed"),
    ...report.still_in_progress.map((each) => ({
      ...each,
      kind: "in_progress",
      agent: each.assigned_to,
      from: Date.parse(each.since),
      to: end,
    })),
  ].sort((a, b) => a.from - b.from);
  const [shown, button] = useSome(bars, CHARTED);
  if (!bars.length) return null;
  const rows = shown.map((each) => {
    const href = `/tasks/${encodeURIComponent(each.task_id)}`;
    return {
      label: `${each.agent}: ${each.title}`,
      href,
      bars: [{ from: each.from, to: each.to, kind: each.kind, label: `by ${each.agent}`, href }],
    };
  });
  const begin = report.started_at ? Date.parse(report.started_at) : bars[0].from;
  return html`<${Timeline} label="Who did what" rows=${rows} from=${begin} to=${end} />${button}`;
}

function Returned({ title, tasks, text }) {
  const [shown, button] = useSome(tasks);
  if (!tasks.length) return null;
  return html`<h3>${title} (${tasks.length})</h3>
    <ul class="plain">${shown.map(
      (each) => html`<li key=${each.task_id}>
        <${TaskLink} id=${each.task_id} title=${each.title} /> by <${AgentLink} id=${each.agent} />${
          each.seconds === null ? null : ` in ${lasting(each.seconds * 1000)}`
        }, <${When} moment=${each.at} />
        ${each[text] ? html`<p class="quoted">${each[text]}</p>` : null}
      </li>`,
    )}</ul>
    ${button}`;
}

function Running({ tasks }) {
  const [shown, button] = useSome(tasks);
  if (!tasks.length) return null;
  return html`<h3>Still running (${tasks.length})</h3>
    <ul class="plain">${shown.map(
      (each) => html`<li key=${each.task_id}><${TaskLink} id=${each.task_id} title=${each.title} /> with <${AgentLink} id=${each.assigned_to} /> for ${lasting(each.age_seconds * 1000)}</li>`,
    )}</ul>
    ${button}`;
}

function Shares({ agents }) {
  const [shown, button] = useSome(agents);
  if (!agents.length) return null;
  return html`<h3>Agents</h3>
    <div class="scrolls"><table>
      <thead><tr>${["agent", "done", "failed", "running", "added", "knowledge", "time"].map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
      <tbody>${shown.map(
        (each) => html`<tr key=${each.agent}><th scope="row"><${AgentLink} id=${each.agent} /></th>
          ${["completed", "failed", "running", "added", "knowledge"].map((name) => html`<td key=${name} class="number">${each[name]}</td>`)}
          <td class="number">${lasting(each.seconds * 1000)}</td></tr>`,
      )}</tbody>
    </table></div>
    ${button}`;
}

/** Write the report into the knowledge base. */
function Keep({ cycle, onDone }) {
  const [topic, setTopic] = useState(null);
  const name = topic ?? (cycle ? `cycle-${cycle}` : "report");
  return html`<${CommandForm} isBar name="Keep the report" command="runner collect" args=${cycle ? { cycle, save: name } : { save: name }}
      label="Collect into the knowledge base" onDone=${onDone}>
    <${Field} label="Topic"><input type="text" required value=${name} onInput=${typed(setTopic)} /><//>
  <//>`;
}

/** All that an agent gets for a task. */
function Brief({ task, onClose }) {
  const brief = useAnswer("runner brief", { target: task }, ["task."]);
  return html`<${Dialog} title=${`Brief of ${task}`} onClose=${onClose}>
    ${brief.error ? html`<${Failure} error=${brief.error} />` : null}
    ${brief.value ? html`<${Markdown} text=${brief.value.brief} />` : html`<p>Reading…</p>`}
  <//>`;
}

const More = ({ number, what }) => (number ? html`<p>and ${number} more ${what}</p>` : null);
