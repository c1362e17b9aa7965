/** Convoys and workflows: how far they are, where each task stands, and what it waits for. */
import { html, useState } from "../lib/dom.js";
import { CommandForm, listed } from "../lib/form.js";
import { useAnswer } from "../lib/live.js";
import { Action, AgentLink, Badge, Empty, Failure, Field, TaskLink, When } from "../lib/parts.js";
import { Linked } from "./sentence.js";
import { useSome } from "../lib/some.js";

const TASKS = ["task.", "workflow.", "workstream."];

const MANY = 50; // tasks of a convoy and steps of a workflow that are shown at first

export function View() {
  return html`<h1>Convoys and workflows</h1><${Convoys} /><${Workflows} />`;
}

// Convoys

function Convoys() {
  const [all, setAll] = useState(false);
  const convoys = useAnswer("convoy list", all ? { all } : {}, ["convoy.", "task."]);
  return html`<section aria-labelledby="convoys">
    <h2 id="convoys">Convoys</h2>
    <div class="bar">
      <label class="check"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.target.checked)} /> Also landed and cancelled ones</label>
    </div>
    ${convoys.error ? html`<${Failure} error=${convoys.error} />` : null}
    ${convoys.value?.length === 0 && html`<${Empty}>No convoy is open: a convoy is a set of tasks that is followed until all have ended.<//>`}
    ${convoys.value?.map((convoy) => html`<${Convoy} key=${convoy.name} convoy=${convoy} />`)}
    <${NewConvoy} />
  </section>`;
}

function Convoy({ convoy }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details class="progress" open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>
      <span class="progress-name">${convoy.name}</span> <${Badge} status=${convoy.status} />
      <${Meter} label=${`Progress of ${convoy.name}`} ended=${convoy.tasks.length - convoy.open_tasks} total=${convoy.tasks.length} what="tasks" />
      <span class="hint">${convoy.description}</span>
    </summary>
    ${isOpen && html`<${ConvoyTasks} name=${convoy.name} />`}
  </details>`;
}

function ConvoyTasks({ name }) {
  const status = useAnswer("convoy status", { name }, ["convoy.", ...TASKS]);
  const [shown, button] = useSome(status.value?.tasks ?? [], MANY);
  if (status.value == null) return status.error ? html`<${Failure} error=${status.error} />` : html`<p>Reading…</p>`;
  const { convoy, waits, ready } = status.value;
  const isOpen = convoy.status !== "cancelled";
  return html`
    <p class="hint">Made by <${AgentLink} id=${convoy.created_by} />, <${When} moment=${convoy.created_at} />${
      convoy.started_at ? html`; started <${When} moment=${convoy.started_at} />` : ""
    }${convoy.ended_at ? html`; ended <${When} moment=${convoy.ended_at} />` : ""}${
      convoy.notify.length ? `; notifies ${convoy.notify.join(", ")}` : ""
    }; ${ready} ready${convoy.reason ? `; ${convoy.reason}` : ""}</p>
    <div class="bar">
      ${convoy.status === "open" && !convoy.started_at && html`<${Action} command="convoy start" args=${{ name }} label="Start" />`}
      ${convoy.status === "open" && html`<${Action} command="convoy start" args=${{ name, dispatch: true }} label="Give ready tasks to agents" />`}
      ${convoy.status === "open" &&
      html`<${Action} command="convoy cancel" args=${{ name }} label="Cancel the convoy" confirm=${`Cancel the convoy ${name}? Its tasks stay as they are.`} danger=${true} />`}
    </div>
    <ol class="steps">${shown.map(
      (task) => html`<li key=${task.task}>
        <${Badge} status=${task.status} /> <${TaskLink} id=${task.task} title=${task.title} />
        ${task.assigned_to ? html` <${AgentLink} id=${task.assigned_to} />` : null}
        <${Reasons} reasons=${Object.hasOwn(waits, task.task) ? waits[task.task] : null} />
        ${isOpen && html` <${Action} command="convoy remove" args=${{ name, tasks: [task.task] }} label="Remove" about=${task.title} />`}
      </li>`,
    )}</ol>
    ${button}
    ${isOpen && html`<${AddTasks} name=${name} />`}`;
}

const TASK_IDS = { name: "tasks", label: "Ids of tasks, with spaces between", given: listed };

function AddTasks({ name }) {
  return html`<${CommandForm} isBar name=${`Add to ${name}`} command="convoy add" args=${{ name }} fields=${[{ ...TASK_IDS, required: true }]} label="Add to the convoy" />`;
}

const NEW = [
  { name: "name", label: "Name", required: true },
  { name: "description", label: "What it is for" },
  TASK_IDS,
];

function NewConvoy() {
  return html`<details class="progress"><summary>New convoy</summary>
    <${CommandForm} isBar name="New convoy" command="convoy create" fields=${NEW} label="Create the convoy" />
  </details>`;
}

// Workflows

function Workflows() {
  const workflows = useAnswer("formula progress", {}, TASKS);
  return html`<section aria-labelledby="workflows">
    <h2 id="workflows">Workflows</h2>
    ${workflows.error ? html`<${Failure} error=${workflows.error} />` : null}
    ${workflows.value?.length === 0 && html`<${Empty}>No workflow is open: a workflow is the steps of a formula as tasks.<//>`}
    ${workflows.value?.map((progress) => html`<${Workflow} key=${progress.workflow.root} progress=${progress} />`)}
    <${Pour} />
  </section>`;
}

function Workflow({ progress }) {
  const [isOpen, setOpen] = useState(false);
  const { workflow } = progress;
  return html`<details class="progress" open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>
      <span class="progress-name">${progress.title}</span> <${Badge} status=${progress.status} />${workflow.ephemeral ? " wisp" : ""}
      <${Meter} label=${`Progress of ${progress.title}`} ended=${progress.ended} total=${progress.total} what="steps" />
      <span class="hint">${whereItStands(progress)}</span>
    </summary>
    ${isOpen && html`<${Steps} root=${workflow.root} />`}
  </details>`;
}

/** Where a workflow stands, in a few words. */
function whereItStands({ current, review, ready, stuck, waiting }) {
  const named = [
    ["at work", current],
    ["in review", review],
    ["ready", ready],
    ["stuck", stuck],
    ["waiting", waiting],
  ].filter(([, steps]) => steps.length);
  return named.map(([name, steps]) => `${steps.length} ${name}`).join(", ");
}

function Steps({ root }) {
  const answer = useAnswer("formula progress", { workflow: root }, TASKS);
  const [shown, button] = useSome(answer.value?.steps ?? [], MANY);
  if (answer.value == null) return answer.error ? html`<${Failure} error=${answer.error} />` : html`<p>Reading…</p>`;
  const { workflow, ready, review, stuck, waiting } = answer.value;
  const isReady = new Set(ready.map((step) => step.id));
  const inReview = new Set(review.map((step) => step.id));
  const reasons = new Map([...stuck, ...waiting].map((blocked) => [blocked.task.id, blocked.by]));
  const values = Object.entries(workflow.variables).filter(([, value]) => value !== "");
  return html`
    <p class="hint"><${TaskLink} id=${workflow.root} title=${`Task ${workflow.root}`} /> of formula ${workflow.formula}, version ${workflow.version};
      poured by <${AgentLink} id=${workflow.poured_by} />, <${When} moment=${workflow.poured_at} />${values.length ? "; " : ""}
      ${values.map(([name, value]) => `${name}: ${value}`).join("; ")}</p>
    ${workflow.ephemeral && html`<${Wisp} root=${workflow.root} />`}
    <${RootReasons} by=${reasons.get(workflow.root)} />
    <ol class="steps">${shown.map(
      (step) => html`<li key=${step.id}>
        <${Badge} status=${isReady.has(step.id) ? "ready" : step.status} />
        ${" "}<${TaskLink} id=${step.id} title=${step.title} />${step.milestone ? " (milestone)" : ""}
        ${step.assigned_to ? html` <${AgentLink} id=${step.assigned_to} />` : null}
        <${Reasons} reasons=${reasons.get(step.id)?.map((each) => each.says)} />
        <${StepActions} step=${step} by=${reasons.get(step.id) ?? []} inReview=${inReview.has(step.id)} />
      </li>`,
    )}</ol>
    ${button}`;
}

const RootReasons = ({ by }) => (by ? html`<${Reasons} reasons=${by.map((each) => each.says)} />` : null);

/** What the rules allow for a step as it stands now. */
function StepActions({ step, by, inReview }) {
  const task = step.id;
  const has = (kind) => by.some((each) => each.kind === kind && each.command);
  return html`
    ${inReview && html` <${Action} command="task approve" args=${{ task }} label="Approve" about=${step.title} />`}
    ${has("signal") && html` <${Action} command="task signal" args=${{ task }} label="Give the signal" about=${step.title} />`}
    ${has("blocked") && html` <${Action} command="task unblock" args=${{ task }} label="Unblock" about=${step.title} />`}
    ${has("failed") && html` <${Action} command="task reopen" args=${{ task }} label="Reopen" about=${step.title} />`}`;
}

function Wisp({ root }) {
  return html`
    <${CommandForm} isBar name="Squash the wisp" command="formula squash" args=${{ workflow: root }} fields=${[{ name: "summary", label: "Summary" }]} label="Squash the wisp" />
    <${Action} command="formula burn" args=${{ workflow: root }} label="Burn the wisp" danger=${true} confirm="Burn the wisp? Its steps leave the board; the log keeps that it was." />`;
}

/** Make a workflow of a formula. */
function Pour() {
  const formulas = useAnswer("formula list", {}, ["workflow."]);
  const streams = useAnswer("workstream list", {}, ["workstream."]);
  const [name, setName] = useState("");
  const usable = (formulas.value ?? []).filter((formula) => !formula.problem);
  return html`<details class="progress"><summary>New workflow</summary>
    <div class="bar"><${Field} label="Formula"><select value=${name} onChange=${(event) => setName(event.target.value)}>
      <option value="">Choose a formula</option>
      ${usable.map((formula) => html`<option key=${formula.name} value=${formula.name}>${formula.name} (${formula.steps} steps)</option>`)}
    </select><//></div>
    ${name && html`<${Variables} key=${name} name=${name} streams=${streams.value ?? []} />`}
  </details>`;
}

function Variables({ name, streams }) {
  const formula = useAnswer("formula show", { name }, []);
  const [values, setValues] = useState(new Map()); // a name may be that of a method of every object
  const [workstream, setWorkstream] = useState("");
  const [asWisp, setAsWisp] = useState(false);
  if (formula.value == null) return formula.error ? html`<${Failure} error=${formula.error} />` : html`<p>Reading…</p>`;
  const given = [...values].filter(([, value]) => value !== "").map(([key, value]) => `${key}=${value}`);
  const args = { name, values: given, ...(workstream && { workstream }) };
  return html`<${CommandForm} name=${`Pour ${name}`} command=${asWisp ? "formula wisp" : "formula pour"} args=${args} label="Pour the workflow">
    <p class="quoted">${formula.value.description}</p>
    ${Object.entries(formula.value.variables).map(
      ([key, variable]) => html`<${Field} key=${key} label=${`${key}${variable.required ? " (needed)" : ""}: ${variable.description}`}>
        <${Value} variable=${variable} value=${values.get(key) ?? ""} onValue=${(value) => setValues((before) => new Map(before).set(key, value))} />
      <//>`,
    )}
    <${Field} label="Workstream"><select value=${workstream} onChange=${(event) => setWorkstream(event.target.value)}>
      <option value="">workflows</option>
      ${streams.map((stream) => html`<option key=${stream.name} value=${stream.name}>${stream.name}</option>`)}
    </select><//>
    <label class="check"><input type="checkbox" checked=${asWisp} onChange=${(event) => setAsWisp(event.target.checked)} /> As a wisp: it leaves the board when it is squashed</label>
  <//>`;
}

function Value({ variable, value, onValue }) {
  const choices = variable.type === "boolean" ? ["true", "false"] : variable.enum;
  const usual = variable.default === null ? "" : String(variable.default);
  if (!choices.length) {
    return html`<input type="text" required=${variable.required} placeholder=${usual} value=${value} onInput=${(event) => onValue(event.target.value)} />`;
  }
  return html`<select value=${value} onChange=${(event) => onValue(event.target.value)}>
    <option value="">${usual ? `as usual: ${usual}` : "not given"}</option>
    ${choices.map((choice) => html`<option key=${choice} value=${choice}>${choice}</option>`)}
  </select>`;
}

// Both

/** How many of some things have ended; the words are the value for everybody. */
function Meter({ label, ended, total, what }) {
  return html`<span class="meter">
    <progress aria-label=${label} value=${ended} max=${Math.max(1, total)}></progress> ${ended} of ${total} ${what} ended
  </span>`;
}

function Reasons({ reasons }) {
  if (!reasons?.length) return null;
  return html`<ul class="reasons">${reasons.map((reason, at) => html`<li key=${at}><${Linked} text=${reason} /></li>`)}</ul>`;
}
