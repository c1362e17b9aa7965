// The names that inputs propose.
import { html } from "./dom.js";
import { useAnswer } from "./live.js";

/** The agents, for inputs with the list `agents`. */
export function AgentNames() {
  const agents = useAnswer("agent list", { fields: "id" });
  return html`<datalist id="agents">${agents.value?.map(({ id }) => html`<option key=${id} value=${id} />`)}</datalist>`;
}
