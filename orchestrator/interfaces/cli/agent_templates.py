"""``orc agent template``: agent files that come with the toolkit."""

import os
import shlex
from typing import Any

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.agent_files import AGENTS_DIR, agents_folder
from orchestrator.interfaces.cli.commands import TEMPLATE
from orchestrator.interfaces.cli.parameters import argument
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run


@TEMPLATE.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[dict[str, Any]]]":  # noqa: ARG001  they are not of a board
    """List the templates: agents that work together, as files."""
    from orchestrator.supervisor.agent_templates import TEMPLATES

    rows = [
        {
            "template": template.name,
            "agents": [agent.id for agent in template.agents],
            "about": template.about,
        }
        for template in TEMPLATES.values()
    ]
    texts = [f"{row['template']}: {', '.join(row['agents'])}\n  {row['about']}" for row in rows]
    return Answer(rows, lambda: "\n".join(texts))


@TEMPLATE.command("add", example="add plan-code-review")
@argument("template", "Its name.", types.Type("TEMPLATE"))
@AGENTS_DIR
def add(run: Run, template: str, agents_dir: str | None) -> "Answer[dict[str, Any]]":
    """Copy the agent files of a template to the folder of the agents; nothing is overwritten.

    They run after you have read and trusted them.
    """
    from orchestrator.supervisor.agent_templates import add_template, find_template

    chosen = find_template(template)
    folder = os.path.abspath(agents_dir) if agents_dir else agents_folder(run, None)
    paths = add_template(chosen, folder)
    where = f" --agents-dir {shlex.quote(agents_dir)}" if agents_dir else ""
    names = " ".join(agent.id for agent in chosen.agents)
    text = "\n".join(
        [f"Added: {escape(path)}" for path in paths]
        + [
            "Read these files, then let them run, and give them work:",
            f"  orc trust {names}{where}",
            f"  orc runner run{where}",
            f"  {chosen.begin}",
        ]
    )
    return say({"template": chosen.name, "files": paths, "begin": chosen.begin}, text)
