"""A machine of ``test_network.py``: it works tasks until all have ended, and prints what it was told."""

import functools
import json
import sys
import time

url, name, waits, shift = sys.argv[1], sys.argv[2], sys.argv[3] == "waits", float(sys.argv[4])
_now = time.time
time.time = lambda: _now() + shift  # the clock of this machine is wrong

from orchestrator import Orchestrator  # noqa: E402  after the clock
from orchestrator.core.errors import OrchestratorError, OutcomeUnknown, Refused  # noqa: E402
from orchestrator.domain.tasks.records import ENDED  # noqa: E402


def say(**facts):
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


def until_answered(act):
    while True:
        try:
            return act()
        except Refused:
            raise
        except OutcomeUnknown:
            say(unknown=True)
        except OrchestratorError as error:
            say(trouble=error.code, message=error.message)
        time.sleep(0.1)


def answered(orc, request, act):
    """The answer to a request, which is repeated under its name."""

    def once():
        with orc.request(request):
            return act()

    return until_answered(once)


orc = until_answered(lambda: Orchestrator.open(url, agent=name, timeout=5))
for number in range(1000):
    task = answered(orc, f"{name}-{number}-next", lambda: orc.tasks.next("w", lease=3))
    if task is None:
        if all(t.status in ENDED for t in until_answered(orc.tasks.all)):
            break
        time.sleep(0.1)
        continue
    say(claimed=task.id)
    if waits:
        sys.stdin.readline()
        waits = False
    complete = functools.partial(orc.tasks.complete, task.id, result=name, token=task.token)
    try:
        answered(orc, f"{name}-{number}-done", complete)
    except Refused as error:
        say(refused=task.id, code=error.code)
    else:
        say(done=task.id)
