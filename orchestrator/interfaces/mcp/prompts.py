"""Prompts: what a person picks from a menu of the client, with what the board says at that moment."""

import msgspec
from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)

from orchestrator.interfaces.mcp.resources import BoardResources, Context, uri_of


class PromptRow(msgspec.Struct, frozen=True):
    """A prompt.

    Attributes:
        about: What it is for.
        text: What it tells the agent.
        named: The same for a task or workstream that is named; ``{0}`` stands for it.
        shows: The path of the resource that follows the text; with a named task that of the task.
    """

    about: str
    text: str
    named: str = ""
    shows: str = ""


_END_WORK = (
    " Keep what you learn with `note`. End it with `done` and the result, or `fail` and the reason."
)
_REVIEW = (
    " Read what was asked for and the result, and check it yourself: read the change, run its tests. End it"
    " with `approve` and what you looked at, or with `reject` and what is missing."
)

_PROMPTS: dict[str, PromptRow] = {
    "work": PromptRow(
        "Work on a task until it is done, then on the next one.",
        f"Call `next` for work, and do what it gives you.{_END_WORK} Then call `next` again, until every task"
        " has ended.",
        f"Claim task {{0}} with `claim`, and work on it.{_END_WORK} Its brief:",
        "briefs/",
    ),
    "plan": PromptRow(
        "Plan a cycle: what several agents can do side by side.",
        "Plan the next cycle of the board. Call `plan`: it lists what can run side by side, what must wait,"
        " and what needs attention. Settle what needs attention first. Split tasks that are too large with"
        " `add` and `needs`. Then say which agent should take which task, and tell the agents with"
        " `send_message`. The board now:",
        shows="status",
    ),
    "review": PromptRow(
        "Review the work of another agent.",
        f"Call `review` for work that awaits a review.{_REVIEW}",
        f"Take the review of task {{0}} with `review`.{_REVIEW} The task:",
        "tasks/",
    ),
    "handoff": PromptRow(
        "Hand your work to the next session.",
        "Stop at a safe place. For each task that you have: `note` what is done, what is left and what you"
        " learned. Write what all agents need with `kb_write`. Give back locks with `unlock`. Then sum up in"
        " a few lines for the next session: `orc handoff --collect` keeps them. The board now:",
        shows="status",
    ),
}


async def prompts(_context: Context, _params: PaginatedRequestParams | None) -> ListPromptsResult:
    """All prompts."""
    task = PromptArgument(name="task", description="The id of a task; else the next one.")
    return ListPromptsResult(
        prompts=[
            Prompt(name=name, description=row.about, arguments=[task] if row.named else None)
            for name, row in _PROMPTS.items()
        ]
    )


async def prompt(
    resources: BoardResources, _context: Context, params: GetPromptRequestParams
) -> GetPromptResult:
    """A prompt, with the resource that it is about.

    Raises:
        MCPError: There is no such prompt, argument or task.
    """
    name, arguments = params.name, params.arguments or {}
    row = _PROMPTS.get(name)
    if row is None:
        raise MCPError(
            INVALID_PARAMS, f"There is no prompt {name!a}; there are {', '.join(_PROMPTS)}"
        )
    for argument in arguments:
        if argument != "task" or not row.named:
            raise MCPError(INVALID_PARAMS, f"The prompt {name} has no argument {argument!a}")
    task = arguments.get("task", "")
    text = row.named.format(ascii(task)) if task else row.text
    if task:
        text += "\n\n" + await resources.text(uri_of(row.shows, task))
    elif not row.named:
        text += "\n\n" + await resources.text(f"orc://{row.shows}")
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=row.about, messages=[message])
