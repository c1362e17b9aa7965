"""Every command declares the type of its answer, and its answers are valid by the schema of this type."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from orchestrator import Orchestrator
from orchestrator.core.git import Git
from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.interfaces.cli.rendering import plain
from orchestrator.interfaces.result_schemas import ResultSchemas
from orchestrator.interfaces.web import command_routes
from tests.interfaces.web.sample_boards import small

Schema = dict[str, Any]


class Case(NamedTuple):
    """A call.

    Attributes:
        arguments: Its arguments; ``{word}`` in a text is an id of the board.
        before: Calls before it.
        agent: Who acts.
    """

    arguments: dict[str, Any]
    before: tuple[tuple[str, dict[str, Any]], ...] = ()
    agent: str = "kim"


def call(*before: tuple[str, dict[str, Any]], _agent: str = "kim", **arguments: Any) -> Case:
    return Case(arguments, before, _agent)


TASK = {"task": "{free}"}
CLAIMED = ("task/claim", TASK)
MINE = ("lock/acquire", {"resource": "mine"})

CASES: dict[str, tuple[Case, ...]] = {
    "workstream/create": (call(name="more"),),
    "workstream/list": (call(),),
    "workstream/show": (call(name="build"),),
    "workstream/edit": (call(name="build", description="D"),),
    "workstream/close": (call(name="empty"),),
    "workstream/reopen": (call(("workstream/close", {"name": "empty"}), name="empty"),),
    "task/dep/add": (call(**TASK, other="{server}"),),
    "task/dep/remove": (call(task="{parser}", other="{grammar}"),),
    "task/dep/tree": (call(task="{notes}"), call(task="{grammar}", up=True)),
    "task/label/add": (call(tasks=["{free}"], label="x"),),
    "task/label/remove": (call(tasks=["{guide}"], label="docs"),),
    "task/label/list": (call(),),
    "task/add": (call(workstream="build", title="T", verify=["true"], touches=["a"]),),
    "task/edit": (call(**TASK, title="Limits"),),
    "task/note": (call(**TASK, text="N"),),
    "task/claim": (call(**TASK),),
    "task/next": (call(workstream="build"), call(workstream="empty")),
    "task/review": (call(task="{links}"),),
    "task/renew": (call(CLAIMED, **TASK, lease="2h"),),
    "task/complete": (
        call(CLAIMED, **TASK, result="R"),
        call(("task/claim", {"task": "{implement}"}), task="{implement}", go_on=True),
    ),
    "task/approve": (call(("task/review", {"task": "{links}"}), task="{links}"),),
    "task/reject": (call(("task/review", {"task": "{links}"}), task="{links}", reason="R"),),
    "task/fail": (call(CLAIMED, **TASK, reason="R"),),
    "task/release": (call(CLAIMED, **TASK), call(("task/review", {"task": "{links}"}), task="{links}")),
    "task/block": (call(CLAIMED, **TASK, reason="R"),),
    "task/unblock": (call(task="{sign}"),),
    "task/cancel": (call(**TASK, reason="R"),),
    "task/reopen": (call(task="{logo}"),),
    "task/archive": (call(tasks=["{grammar}"]), call(tasks=[], older_than="0s")),
    "task/list": (call(), call(open=True, sort="age"), call(text="no such text")),
    "task/show": (call(task="{parser}"), call(task="{links}"), call(task="{implement}")),
    "task/lint": (call(), call(workstream="docs")),
    "task/move": (call(tasks=["{free}"], ws="docs"),),
    "task/delete": (call(tasks=["{free}"], reason="R"),),
    "task/ready": (call(),),
    "task/blocked": (call(),),
    "task/stale": (call(days=1),),
    "task/defer": (call(**TASK, until="2d"),),
    "task/signal": (call(task="{waits}", name="{signal}"),),
    "task/graph": (call(), call(task="{notes}", format="mermaid")),
    "task/duplicate": (call(**TASK, of="{server}"),),
    "task/supersede": (call(**TASK, by="{server}"),),
    "agent/register": (call(id="new", capabilities=["a"]),),
    "agent/rename": (call(id="dan", to="don"),),
    "agent/list": (call(),),
    "agent/heartbeat": (call(), call(id="ann")),
    "agent/whoami": (call(), call(_agent="unknown")),
    "agent/work": (call(),),
    "agent/retire": (call(id="dan"),),
    "hook/hang": (call(**TASK), call(("hook/hang", TASK))),
    "hook/show": (call(), call(("hook/hang", TASK))),
    "mail/queue/list": (call(),),
    "mail/queue/release": (call(("mail/take", {"queue": "jobs"}), id="{job}"),),
    "mail/send": (call(to="ann", line="S", text="T"),),
    "mail/broadcast": (call(line="S", text="T"),),
    "mail/reply": (call(id="{mail}", text="T"),),
    "mail/check": (call(), call(inject=True), call(_agent="new")),
    "mail/inbox": (call(), call(unread=True, _agent="new")),
    "mail/read": (call(id="{mail}"),),
    "mail/thread": (call(id="{mail}"),),
    "mail/ack": (call(("mail/read", {"id": "{mail}"}), id="{mail}"),),
    "mail/search": (call(words="key"),),
    "mail/take": (call(queue="jobs"), call(queue="none")),
    "mail/list": (call(name="all"), call(name="more", members=["ann"])),
    "mail/lists": (call(),),
    "mail/unread": (call(("mail/read", {"id": "{mail}"}), id="{mail}"),),
    "mail/archive": (call(("mail/read", {"id": "{mail}"}), ids=["{mail}"]),),
    "mail/delete": (call(("mail/read", {"id": "{mail}"}), ids=["{mail}"]),),
    "mail/dnd": (call(state="on"), call(state="on", until="2h"), call(state="off")),
    "convoy/create": (call(name="new", tasks=["{free}"]),),
    "convoy/add": (call(name="beta", tasks=["{free}"]),),
    "convoy/remove": (call(name="beta", tasks=["{errors}"]),),
    "convoy/start": (call(name="beta"), call(name="beta", dispatch=True)),
    "convoy/cancel": (call(name="beta"),),
    "convoy/land": (call(name="landing"),),
    "convoy/list": (call(all=True),),
    "convoy/status": (call(name="beta"),),
    "formula/list": (call(),),
    "formula/show": (call(name="feature"), call(name="release", format="mermaid")),
    "formula/validate": (call(),),
    "formula/cook": (call(name="feature", values=["feature=Login"]),),
    "formula/distill": (
        call(task="{workflow}", name="mine", dry_run=True),
        call(task="{workflow}", name="mine"),
    ),
    "formula/pour": (call(name="feature", values=["feature=L"], workstream="build"),),
    "formula/wisp": (call(name="polish"),),
    "formula/bond": (call(first="polish", then="polish", workstream="build"),),
    "formula/current": (call(), call(workflow="{workflow}")),
    "formula/progress": (call(), call(workflow="{workflow}")),
    "formula/squash": (call(workflow="{wisp}", summary="S"),),
    "formula/burn": (call(workflow="{wisp}"),),
    "session/start": (call(),),
    "session/show": (call(("session/start", {})),),
    "session/end": (call(("session/start", {})),),
    "lock/acquire": (call(resource="mine"), call(resource="main branch"), call(resource="src/server.py")),
    "lock/renew": (call(MINE, resource="mine"), call(resource="main branch")),
    "lock/release": (call(MINE, resource="mine"), call(resource="main branch")),
    "lock/list": (call(),),
    "lock/break": (call(resource="main branch", reason="R"),),
    "knowledge/write": (call(topic="new", content="C"),),
    "knowledge/append": (call(topic="grammar", content="C"),),
    "knowledge/read": (call(topic="grammar"), call(topic="none")),
    "knowledge/list": (call(),),
    "knowledge/search": (call(words="rules"),),
    "knowledge/history": (call(topic="grammar"),),
    "knowledge/delete": (call(topic="grammar"), call(topic="none")),
    "decision/add": (call(title="T", decision="D"),),
    "decision/list": (call(),),
    "decision/show": (call(number=1),),
    "decision/edit": (call(number=1, title="T"),),
    "decision/history": (call(number=1),),
    "decision/supersede": (call(("decision/add", {"title": "T"}), number=1, by=2),),
    "worktree/list": (call(),),
    "worktree/show": (call(task="{parser}"),),
    "merge/submit": (call(what="topic"),),
    "merge/list": (call(all=True),),
    "merge/show": (call(submission="1"), call(submission="2")),
    "merge/retry": (call(submission="2"),),
    "merge/reject": (call(submission="1", reason="R"),),
    "merge/withdraw": (call(submission="1"),),
    "goal/create": (call(name="new", tasks=["{free}"], due="2d"),),
    "goal/add": (call(name="beta", tasks=["{free}"]),),
    "goal/remove": (call(name="beta", tasks=["{notes}"]),),
    "goal/edit": (call(name="beta", description="D"),),
    "goal/reach": (call(name="old"),),
    "goal/drop": (call(name="beta"),),
    "goal/reopen": (call(("goal/drop", {"name": "beta"}), name="beta"),),
    "goal/list": (call(all=True),),
    "goal/show": (call(name="beta"),),
    "events/list": (call(last=50), call(tail=5), call(all=True)),
    "events/log": (call(type="build.passed", facts="a=1"),),
    "events/map": (call(),),
    "events/push": (call(type="x", payload='{"a": 1}'),),
    "events/cursor": (call(),),
    "events/set-cursor": (call(position=3),),
    "events/claim": (call(event=1), call(event="{claimed}")),
    "events/check-claim": (call(event=1), call(("events/claim", {"event": 1}), event=1)),
    "events/dead": (call(),),
    "events/retry": (call(letter="{letter}"),),
    "events/dismiss": (call(letter="{letter}"),),
    "saved/add": (call(name="open", words="ls"),),
    "saved/ask": (call(name="all"),),
    "saved/list": (call(),),
    "saved/remove": (call(name="all"),),
    "runner/status": (call(),),
    "runner/plan": (call(), call(look=True)),
    "runner/brief": (call(target="{parser}"), call(target="build")),
    "runner/collect": (call(),),
    "patrol/explain": (call(task="{parser}"),),
    "permission/list": (call(all=True),),
    "permission/show": (call(request="{request}"),),
    "permission/allow": (call(request="{request}"),),
    "permission/deny": (call(request="{request}", message="M"),),
    "permission/rules": (call(),),
    "add": (call(words="Fold"),),
    "next": (
        call(workstream="build"),
        call(workstream="empty"),
        call(workstream="docs", _agent="cleo"),
        call(_agent="ann"),
    ),
    "status": (call(), call(at=20)),
    "sling": (call(**TASK, to="ben"), call(task="polish", to="ben", workstream="build")),
    "unsling": (call(("sling", {**TASK, "to": "ben"}), **TASK),),
    "dispatch": (call(), call(dry_run=True)),
    "prime": (call(), call(_agent="ann", budget="4000")),
    "handoff": (call(("session/start", {}), subject="S", message="M"),),
    "done": (call(CLAIMED, **TASK, message="M"),),
    "escalate": (call(topic="Help", message="M", task="{parser}"),),
    "stats": (call(),),
    "metrics": (call(),),
    "report": (call(), call(format="html")),
    "log": (call(last=100),),
    "request": (call(text="A theme"),),
    "query": (call(words=["SELECT id, priority FROM tasks"]), call(list_=True), call(schema=True)),
    "search": (call(words="grammar"),),
    "ls": (call(),),
    "board/show": (call(),),
    "similar": (call(text="Test case 1"),),
    "timeline": (call(), call(subject="{parser}"), call(subject="ann")),
}  # fmt: skip
"""Calls for each command, on a board where every answer has something in it."""

OPEN = {
    "query[]": "the columns of a statement in SQL",
    "saved/ask": "the answer of the command that was saved",
    "EventObject.payload": "the facts of any type of event, those of agents too",
    "QueueEvent.payload": "the same",
    "PermissionView.tool_input": "the input of any tool",
    "RecentEvent.payload": "as that of every event",
}
"""The values without a known type, with the reason."""


POLISH = """formula = "polish"
version = 1
[[steps]]
id = "draft"
title = "Draft it"
[[steps]]
id = "better"
title = "Make it better"
needs = ["draft"]
"""
"""A formula without variables."""


class RichBoard:
    """A board where every answer has something in it.

    Attributes:
        folder: Its folder; calls get a copy.
        words: Ids by the names that they have in ``CASES``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words = small(folder)
        with Orchestrator.open(folder, agent="kim") as orc:
            self._fill(orc)

    def _fill(self, orc: Orchestrator) -> None:
        add = orc.tasks.add
        formulas = self.folder / "formulas"
        formulas.mkdir(exist_ok=True)
        (self.folder / "config.toml").write_text('workstream = "build"\n')
        (formulas / "polish.formula.toml").write_text(POLISH)
        orc.workstreams.create("empty")
        self.words["free"] = add(
            "build", title="Fold the constants", needs=[self.words["grammar"]]
        ).id
        waiting = next(task for task in orc.tasks.list() if task.awaits_signal)
        self.words |= {"waits": waiting.id, "signal": waiting.signals[0].name}
        self.words["review"] = add("build", title="R", review=True).id
        self.words["wisp"] = orc.workflows.pour(
            orc.formulas.cook("polish", {}), workstream="build", ephemeral=True
        ).root.id
        self.words["mail"] = orc.mail.send("kim", "The key", "T", agent="ben").id
        self.words["job"] = orc.mail.send("queue:jobs", "J", "T", agent="ann").id
        orc.goals.create("old", [self.words["grammar"]], due="2d")
        orc.mail.set_list("all", ["ann", "ben"])
        orc.saved.add("all", ["ls"], prime=True)
        self.words["request"] = orc.permissions.pending()[0].id
        self.words["claimed"] = 2
        orc.subscriptions.claim(2, agent="ann")
        last = orc.engine.read().event
        orc.subscriptions.open("plan")
        for number in range(2):
            orc.events.push("plan.request", {"a": [1]}, agent="ann")
            event = orc.engine.read().event
            attempt = orc.subscriptions.start("plan", event, after=last, lease=60.0, most=1)
            assert attempt is not None
            if number == 0:
                orc.subscriptions.fail(
                    "plan", event, attempt.token, "exit 1", report=AttemptReport()
                )
                last = orc.subscriptions.get("plan").position
        self._add_branches(orc)
        self.words["letter"] = orc.subscriptions.dead()[0].number

    def _add_branches(self, orc: Orchestrator) -> None:
        """Make a repository of the folder, with a branch to merge, and submissions to the merge queue."""
        git = Git(str(self.folder), settings={"user.name": "ann", "user.email": "ann@example.org"})
        git.run("init", "-q", "-b", "main")
        git.run("commit", "-q", "--allow-empty", "-m", "begin")
        git.run("branch", "topic", "main")
        commit = git.text("commit-tree", "-p", "main", "-m", "work", "main^{tree}")
        git.run("update-ref", "refs/heads/topic", commit)
        orc.worktrees.add(
            self.words["parser"], agent=orc.tasks.get(self.words["parser"]).assigned_to
        )
        orc.convoys.create("landing", target="topic")
        for branch in ("gone", "fix"):
            orc.merges.submit_commit(branch, commit, target="main", agent="ann")
        _, claimed = orc.merges.claim("queue", limit=2)
        assert claimed.token is not None
        orc.merges.returned(
            2, claimed.token, kind="conflict", reason="R", files=["a"], tail="CONFLICT"
        )
        orc.merges.release(1, claimed.token)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> RichBoard:
    return RichBoard(tmp_path_factory.mktemp("rich") / "board")


def filled(value: Any, words: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    is_word = isinstance(value, str) and value.startswith("{") and value[1:-1] in words
    return words[value[1:-1]] if is_word else value


def answered(board: RichBoard, folder: Path, path: str, case: Case) -> Any:
    """The value that programs get for a call on a copy of the board."""
    shutil.copytree(board.folder, folder)
    with Orchestrator.open(folder, agent=case.agent) as orc:
        for each, given in (*case.before, (path, case.arguments)):
            arguments = {name: filled(text, board.words) for name, text in given.items()}
            call = command_routes.calls()[each]
            answer, _ = command_routes.run(call, orc, case.agent, arguments)
        return plain(answer.value)


# Schemas as a test needs them


def closed(schema: Schema) -> Schema:
    """The schema without room for fields that it does not name."""
    inner = {
        name: [closed(each) for each in value]
        if name in ("anyOf", "prefixItems")
        else closed(value)
        if name in ("items", "additionalProperties") and isinstance(value, dict)
        else {field: closed(each) for field, each in value.items()}
        if name in ("properties", "$defs")
        else value
        for name, value in schema.items()
    }
    is_record = {"$ref", "allOf", "properties"} & {*schema}
    return {**inner, "unevaluatedProperties": False} if is_record else inner


def whole(schemas: ResultSchemas, schema: Schema) -> Schema:
    """A schema with its definitions, closed where it is used."""
    opened = {
        name: {key: value for key, value in closed(each).items() if key != "unevaluatedProperties"}
        for name, each in schemas.definitions.items()
    }
    return {**closed(schema), "$defs": opened}


def check(schema: Schema, value: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(value)
    )
    assert error is None, f"{error.json_path}: {error.message[:2000]}"


def unknown_parts(schema: Schema, place: str) -> set[str]:
    """The places of a schema that say nothing about the type of a value."""
    words = {*schema} - {"description"}
    if not words or (words == {"type"} and schema["type"] in ("object", "array")):
        return {place}
    parts = set[str]()
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            parts |= unknown_parts(schema[name], f"{place}[]")
    for field, each in schema.get("properties", {}).items():
        parts |= unknown_parts(each, f"{place}.{field}")
    for name in ("anyOf", "allOf", "prefixItems"):
        for each in schema.get(name, ()):
            parts |= unknown_parts(each, place)
    return parts


# Every command


def test_every_command_has_a_call():
    assert {*CASES} == {*command_routes.calls()}


@pytest.mark.parametrize("path", CASES)
def test_an_answer_fits_the_schema_of_its_command(path: str, rich: RichBoard, tmp_path: Path):
    schemas = ResultSchemas("#/$defs/{name}")
    schema = whole(schemas, schemas.of_command(command_routes.calls()[path].command))
    for number, case in enumerate(CASES[path]):
        check(schema, answered(rich, tmp_path / str(number), path, case))


def test_what_is_known_about_a_value_is_in_its_schema():
    schemas = ResultSchemas("#/$defs/{name}")
    roots = {
        path: schemas.of_command(call.command) for path, call in command_routes.calls().items()
    }
    places = {**roots, **schemas.definitions}
    unknown = {part for place, schema in places.items() for part in unknown_parts(schema, place)}
    assert unknown == {*OPEN}


def test_a_schema_is_not_true_of_another_answer(rich: RichBoard, tmp_path: Path):
    """A field that is missing, one too many, and one of another type are seen."""
    schemas = ResultSchemas("#/$defs/{name}")
    schema = whole(schemas, schemas.of_command(command_routes.calls()["task/show"].command))
    task = answered(rich, tmp_path / "board", "task/show", call(task="{parser}"))
    check(schema, task)
    for wrong in (
        {},
        {name: value for name, value in task.items() if name != "title"},
        {name: value for name, value in task.items() if name != "history"},
        {**task, "more": 1},
        {**task, "status": "finished"},
        {**task, "notes": [{"agent": "ann"}]},
    ):
        with pytest.raises(AssertionError):
            check(schema, wrong)
