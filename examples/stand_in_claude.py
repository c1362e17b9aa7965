"""A stand-in for the program ``claude``, without a model: it plays the agents plan, code and review.

``examples/demo_runner.py`` puts it on PATH under that name. Like the real program it is started with the
text of an agent file and an event on stdin, uses commands, and prints what it does as JSON lines. The coder
forgets empty names until the plan names them, so the first review asks for a revision.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

PACE = float(sys.argv[1])
"""Seconds before each line, so that a person can follow; the other arguments are those of ``claude``."""

SIMPLE = 'import sys\n\nname = sys.argv[1]\nprint(f"Hello, {name}!")\n'
CAREFUL = 'import sys\n\nname = sys.argv[1] or "world"\nprint(f"Hello, {name}!")\n'
PROGRAM = Path("greet.py")


def main() -> None:
    prompt = sys.argv[sys.argv.index("--system-prompt") + 1]
    name = re.findall(r"You are the agent `(\w+)`", prompt)[0]
    event = json.load(sys.stdin)
    write(type="system", subtype="init", session_id=f"demo-{event['id']}")
    {"plan": plan, "code": code, "review": review}[name](event["type"], event["payload"])
    write(type="result", subtype="success", session_id=f"demo-{event['id']}")


def plan(trigger: str, payload: dict) -> None:
    if payload.get("verdict") == "approve":
        say("The review approves: nothing is left to do.")
        return
    steps = ["1. Write greet.py, which greets the name on its command line."]
    path = Path("plans", Path(payload["prd_path"]).name)
    if trigger == "plan.request":
        say(f"Reading {payload['prd_path']}.")
        path.parent.mkdir(exist_ok=True)
    else:
        steps = [*path.read_text().splitlines(), *(f"2. {text}" for text in payload["comments"])]
        say(f"The plan gets a step: {steps[-1]}")
    path.write_text("\n".join(steps) + "\n")
    push("plan", "plan.created", {"prd_path": payload["prd_path"], "plan_path": str(path)})


def code(_trigger: str, payload: dict) -> None:
    is_careful = "empty name" in Path(payload["plan_path"]).read_text()
    say("Writing greet.py.")
    PROGRAM.write_text(CAREFUL if is_careful else SIMPLE)
    summary = "An empty name is greeted as world" if is_careful else "It greets a name"
    push("code", "code.review", {**payload, "summary": summary})


def review(_trigger: str, payload: dict) -> None:
    comments = []
    for name, expected in (("Ann", "Hello, Ann!"), ("", "Hello, world!")):
        answer = subprocess.run(
            [sys.executable, PROGRAM, name], capture_output=True, text=True, check=True
        ).stdout.strip()
        say(f"greet.py {name!r} prints {answer!r}: {'good' if answer == expected else 'wrong'}")
        if answer != expected:
            comments.append(f"For an empty name, greet.py must print {expected!r}")
    verdict = {"verdict": "revise" if comments else "approve", "comments": comments}
    push("review", "review.created", {k: payload[k] for k in ("prd_path", "plan_path")} | verdict)


def push(worker: str, type: str, payload: dict) -> None:
    write_message({"type": "tool_use", "name": "Bash", "input": {"command": f"push {type}"}})
    words = ["busytown", "events", "push", "--worker", worker, "--type", type]
    subprocess.run(
        [*words, "--payload", json.dumps(payload)], check=True, stdout=subprocess.DEVNULL
    )


def say(text: str) -> None:
    write_message({"type": "text", "text": text})


def write_message(block: dict) -> None:
    time.sleep(PACE)
    write(type="assistant", message={"content": [block]})


def write(**record: object) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
