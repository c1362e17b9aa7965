/** Numbers and forecast: how the work flows, when the rest will be done, and where it is stuck. */
import { html, useState } from "../lib/dom.js";
import { useAnswer } from "../lib/live.js";
import { AgentLink, Badge, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { Columns, Lines, Outlook } from "../lib/charts.js";
import { useSome } from "../lib/some.js";
import { lasting, moment as dated } from "../lib/timeline.js";

const PERIODS = [
  ["", "all of it"],
  ["24h", "the last day"],
  ["7d", "the last 7 days"],
  ["30d", "the last 30 days"],
];

const REST = 20; // a forecast takes seconds of a core on a large board

export function View() {
  const [since, setSince] = useState("");
  const [workstream, setWorkstream] = useState("");
  const streams = useAnswer("workstream list", {}, ["workstream."]);
  const args = { ...(since && { since }), ...(workstream && { workstream }) };
  const report = useAnswer("report", args, ["task.", "goal.", "lock.", "cycle.", "workstream."], REST);
  return html`
    <h1>Numbers and forecast</h1>
    <div class="bar">
      <${Field} label="Period"><select value=${since} onChange=${(event) => setSince(event.target.value)}>
        ${PERIODS.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
      </select><//>
      <${Field} label="Workstream"><select value=${workstream} onChange=${(event) => setWorkstream(event.target.value)}>
        <option value="">all</option>
        ${(streams.value ?? []).map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
      </select><//>
      <${Freshness} report=${report} />
    </div>
    ${report.error ? html`<${Failure} error=${report.error} />` : null}
    ${report.value ? html`<${Figures} report=${report.value} />` : null}
  `;
}

/** The forecast is played many times, so it rests between events. */
function Freshness({ report }) {
  return html`<p class="fresh">
    ${report.value ? html`As of <${When} moment=${report.value.generated_at} />` : null}
    ${report.isLoading ? " Counting…" : report.isOld ? " There are newer events." : ""}
    ${" "}<button type="button" aria-disabled=${report.isLoading} onClick=${report.reload}>Count again</button>
  </p>`;
}

function Figures({ report }) {
  const { standing, times } = report;
  if (!standing.tasks) return html`<${Empty}>There are no numbers yet: the board has no task.<//>`;
  const figures = [
    ["done", standing.done],
    ["open", standing.open],
    ["in progress", standing.in_progress],
    ["in review", standing.in_review],
    ["blocked", standing.blocked],
    ["failed", standing.failed],
    ["done a day", report.per_day.toFixed(1)],
    ["usual time from claim to done", spread(times.cycle_time)],
    ["usual time from added to done", spread(times.lead_time)],
  ];
  return html`
    <dl class="figures">${figures.map(
      ([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`,
    )}</dl>
    <${Prediction} forecast=${report.forecast} goals=${report.goals} now=${Date.parse(report.until)} />
    <${Flow} line=${report.time_line} until=${Date.parse(report.until)} />
    <${Times} report=${report} />
    <${Stuck} report=${report} />
    <${Evidence} evidence=${report.evidence} />
  `;
}

/** The forecast of the end: its quantiles, what would shorten the work, and the forecast of the goals. */
function Prediction({ forecast, goals, now }) {
  return html`<section aria-labelledby="forecast">
    <h2 id="forecast">When will it be done?</h2>
    ${forecast.outcome === "done" && html`<p>All of it is done.</p>`}
    ${forecast.outcome === "unknown" && html`<p>That cannot be known yet: ${forecast.reason}.</p>`}
    ${forecast.outcome === "forecast" &&
    html`<p>The ${forecast.tasks} open tasks are done with even chance by <${Day} moment=${forecast.p50} />,
        with 85 % by <${Day} moment=${forecast.p85} />, with 95 % by <${Day} moment=${forecast.p95} />.</p>
      <p>It is drawn from ${forecast.history} ended tasks and at most ${forecast.workers} at work side by side, played ${forecast.trials} times.${
        forecast.is_rough ? " The history is short, so this is rough." : ""
      }${forecast.left_out ? ` Left out: ${forecast.left_out} tasks that need a task that failed or was cancelled.` : ""}${
        forecast.assumed_free ? ` Taken as free: ${forecast.assumed_free} tasks that are blocked or wait for a signal.` : ""
      }</p>
      <${Outlook} label="Share of the trials in which all was done" now=${now} quantiles=${forecast.quantiles.map((text) => Date.parse(text))}
        marks=${goals.filter((goal) => goal.status === "open" && Date.parse(goal.due) > now).map((goal) => ({ name: goal.name, moment: Date.parse(goal.due) }))} />
      ${forecast.helps.length > 0 &&
      html`<h3>What helps most</h3>
        <ul class="plain">${forecast.helps.map(
          (each) => html`<li key=${each.task}><${TaskLink} id=${each.task} title=${each.title} />: ${lasting(each.saves * 1000)} earlier if it were done now</li>`,
        )}</ul>`}`}
    ${goals.length > 0 &&
    html`<h3>Goals</h3><div class="scrolls"><table>
      <thead><tr>${["goal", "due", "done", "in time", "85 % by", "after its date"].map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
      <tbody>${goals.map(
        (goal) => html`<tr key=${goal.name}><th scope="row">${goal.name}<br /><span class="hint">${goal.description}</span></th>
          <td><${Day} moment=${goal.due} /></td><td class="number">${goal.done} of ${goal.total}</td>
          <td class="number">${goal.in_time === null ? goal.reason || goal.outcome : `${Math.round(goal.in_time * 100)} %`}</td>
          <td>${goal.p85 ? html`<${Day} moment=${goal.p85} />` : ""}</td>
          <td class="number">${goal.slip === null ? "" : goal.slip > 0 ? lasting(goal.slip * 1000) : "no"}</td></tr>`,
      )}</tbody>
    </table></div>`}
  </section>`;
}

/** Throughput, work in progress and burn-up over time. */
function Flow({ line, until }) {
  const moments = line.steps.map((step) => Date.parse(step.begins));
  const values = (name) => line.steps.map((step) => step[name]);
  const sum = (name) => values(name).reduce((total, value) => total + value, 0);
  const last = line.steps.at(-1);
  return html`<section aria-labelledby="flow">
    <h2 id="flow">How the work flows</h2>
    <div class="charts">
      <${Columns} label=${`Ended tasks per ${line.unit}`} moments=${moments} until=${until}
        summary=${`${sum("completed")} done, ${sum("failed")} failed, ${sum("added")} added.`}
        series=${[
          { name: "done", look: "done", values: values("completed") },
          { name: "failed", look: "failed", values: values("failed") },
        ]} />
      <${Lines} label=${`Work in progress, the average per ${line.unit}`} moments=${moments} until=${until}
        summary=${`On average now: ${last.in_progress} in progress, ${last.in_review} in review.`}
        series=${[
          { name: "in progress", look: "in_progress", values: values("in_progress") },
          { name: "in review", look: "in_review", values: values("in_review") },
        ]} />
      <${Lines} label="Wanted and done" moments=${moments} until=${until}
        summary=${`${last.done} of ${last.scope} tasks are done.`}
        series=${[
          { name: "wanted", look: "pending", values: values("scope") },
          { name: "done", look: "done", values: values("done") },
        ]} />
    </div>
  </section>`;
}

function Times({ report }) {
  const types = Object.entries(report.times_by_type);
  return html`<section aria-labelledby="times">
    <h2 id="times">How long it takes</h2>
    ${types.length > 0 &&
    html`<div class="scrolls"><table>
      <thead><tr>${["type", "tasks", "claim to done: half", "85 of 100", "added to done: half", "85 of 100"].map((head, at) => html`<th key=${at} scope="col">${head}</th>`)}</tr></thead>
      <tbody>${types.map(
        ([type, { cycle_time: cycle, lead_time: lead }]) => html`<tr key=${type}><th scope="row">${type}</th>
          <td class="number">${lead.count}</td><td class="number">${length(cycle.median, cycle.count)}</td><td class="number">${length(cycle.p85, cycle.count)}</td>
          <td class="number">${length(lead.median, lead.count)}</td><td class="number">${length(lead.p85, lead.count)}</td></tr>`,
      )}</tbody>
    </table></div>`}
    <h3>Where the time goes</h3>
    <div class="scrolls"><table>
      <thead><tr>${["status", "share of the time", "half of the tasks", "85 of 100"].map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
      <tbody>${report.statuses.map(
        (each) => html`<tr key=${each.status}><th scope="row"><${Badge} status=${each.status} /></th>
          <td class="number">${(each.share * 100).toFixed(1)} %</td>
          <td class="number">${lasting(each.per_task.median * 1000)}</td><td class="number">${lasting(each.per_task.p85 * 1000)}</td></tr>`,
      )}</tbody>
    </table></div>
  </section>`;
}

/** What is at work for how long, and what others wait for. */
function Stuck({ report }) {
  const { ongoing, hold_ups: holdUps, failures } = report;
  const [old, moreOld] = useSome(ongoing);
  const [waited, moreWaited] = useSome(holdUps);
  const [failed, moreFailed] = useSome(failures, 6);
  return html`<section aria-labelledby="stuck">
    <h2 id="stuck">Where it is stuck</h2>
    ${!(ongoing.length || holdUps.length || failures.length) && html`<p>Nowhere.</p>`}
    ${ongoing.length > 0 &&
    html`<h3>At work, the oldest first</h3>
      <div class="scrolls"><table>
        <thead><tr>${["task", "status", "agent", "for"].map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
        <tbody>${old.map(
          (each) => html`<tr key=${each.task}><th scope="row"><${TaskLink} id=${each.task} title=${each.title} /></th>
            <td><${Badge} status=${each.status} /></td><td>${each.agent ? html`<${AgentLink} id=${each.agent} />` : ""}</td>
            <td class="number">${lasting(each.age * 1000)}</td></tr>`,
        )}</tbody>
      </table></div>${moreOld}`}
    ${holdUps.length > 0 &&
    html`<h3>What others wait for</h3>
      <div class="scrolls"><table>
        <thead><tr>${["what", "status", "agent", "waiting"].map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
        <tbody>${waited.map(
          (each) => html`<tr key=${`${each.kind} ${each.name}`}>
            <th scope="row">${each.kind === "task" || each.kind === "review" ? html`<${TaskLink} id=${each.name} title=${each.title} />` : each.kind === "lock" ? `lock ${each.name}` : each.name}</th>
            <td>${each.status ? html`<${Badge} status=${each.status} />` : ""}</td>
            <td>${each.agent ? html`<${AgentLink} id=${each.agent} />` : ""}</td><td class="number">${each.waiting}</td></tr>`,
        )}</tbody>
      </table></div>${moreWaited}`}
    ${failures.length > 0 &&
    html`<h3>Failed</h3>
      <ul class="plain">${failed.map(
        (each) => html`<li key=${`${each.task} ${each.at}`}><${TaskLink} id=${each.task} title=${each.title} /> by <${AgentLink} id=${each.agent} />, <${When} moment=${each.at} />
          <p class="quoted">${each.reason}</p></li>`,
      )}</ul>${moreFailed}`}
  </section>`;
}

function Evidence({ evidence }) {
  const { reviews, failing, ...counts } = evidence;
  if (!Object.values(counts).some(Boolean)) return null;
  return html`<section aria-labelledby="evidence">
    <h2 id="evidence">Evidence</h2>
    <p>${counts.passed} checks passed, ${counts.failed} did not; ${counts.approved} reviews approved, ${counts.rejected} gave back; ${counts.forced} tasks ended by force.</p>
    ${failing.length > 0 &&
    html`<h3>Checks that fail most</h3>
      <ul class="plain">${failing.map((each) => html`<li key=${each.what}><code>${each.what}</code> ${each.times} times</li>`)}</ul>`}
    ${reviews.count > 0 && html`<p>Half of ${reviews.count} reviews took ${lasting(reviews.median * 1000)}, 85 of 100 ${lasting(reviews.p85 * 1000)}.</p>`}
  </section>`;
}

const length = (seconds, count) => (count ? lasting(seconds * 1000) : "");
const spread = ({ count, median, p85 }) => (count ? `${lasting(median * 1000)} (85 of 100: ${lasting(p85 * 1000)})` : "unknown");

/** A moment of the forecast: its date, and how far it is. */
const Day = ({ moment }) => html`<span class="day"><strong>${dated(Date.parse(moment))}</strong> (<${When} moment=${moment} />)</span>`;
