"""The program of the processes of ``test_processes``: ``python worker.py BOARD ROLE NAME COUNT``.

A line on stdout is an acknowledgement: it is printed only after the command has returned.
"""

import os
import sys

from orchestrator import Orchestrator
from orchestrator.stores.files import FileStore


def add(orc: Orchestrator, name: str, count: int) -> None:
    for number in range(count):
        say(orc.tasks.add("build", title=f"{name}-{number}").id)


def dispatch(orc: Orchestrator, name: str, count: int) -> None:
    """Dispatch single tasks, so that dispatchers meet."""
    for priority in range(count):
        for assignment in orc.dispatch.run(priority=priority, agent=name):
            say(f"{assignment.task} {assignment.agent}")


ROLES = {"add": add, "dispatch": dispatch}


def main(folder: str, role: str, name: str, count: int) -> None:
    light = role.endswith("-light")
    store = FileStore(folder, segment_size=20_000, warn=lambda _: None)
    orc = Orchestrator(store, agent=name, timeout=60, light=light)
    role = role.removesuffix("-light")
    say("ready")
    sys.stdin.readline()
    if role in ROLES:
        ROLES[role](orc, name, count)
    elif role == "next":
        while (task := orc.tasks.next()) is not None:
            say(f"{task.id} {task.token}")
    elif role == "add-forever":
        number = 0
        while True:
            with orc.request(f"{name}-{number}"):
                task = orc.tasks.add("build", title=f"{name}-{number}")
            say(f"{task.id} {name}-{number}")
            number += 1
    elif role == "work-forever":
        number = 0
        while True:
            task = orc.tasks.add("build", title=f"{name}-{number}", touches=["git:shared"])
            say(f"added {task.id}")
            mine = orc.tasks.next(lease=3600)
            if mine is not None:
                say(f"claimed {mine.id} {mine.token}")
                orc.knowledge.append("findings", f"{name}-{number}")
                orc.tasks.complete(mine.id, agent=name, token=mine.token, result=name)
                say(f"completed {mine.id}")
            number += 1
    orc.close()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
