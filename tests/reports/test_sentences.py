"""Each type of event has a sentence that names its subject and is never cut misleadingly."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.core.events import FORMAT, is_reserved, types
from orchestrator.reports.sentences import SENTENCES, Sentences
from orchestrator.stores.files import FileStore

GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"


@pytest.fixture
def golden(tmp_path: Path) -> Orchestrator:
    """A board that holds an event of each type."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "events.jsonl").write_bytes(GOLDEN.read_bytes())
    return Orchestrator(FileStore(tmp_path, warn=pytest.fail))


def last_of(orc: Orchestrator) -> str:
    return Sentences(orc.engine).of(orc.events.read(last=1)[0])


def test_each_type_of_the_toolkit_has_a_sentence_and_no_other_has():
    ours = {name for name in types() if name.partition(".")[0] != "tests"}
    assert set(SENTENCES) == ours


def test_no_sentence_of_the_golden_log_holds_a_brace_or_an_empty_place(golden: Orchestrator):
    sentences = Sentences(golden.engine)
    output: dict[str, list[str]] = {}
    for record in golden.events.read():
        output.setdefault(record.type, []).append(sentences.of(record))
    assert {name for name in output if is_reserved(name, FORMAT)} == set(SENTENCES)
    for name, texts in output.items():
        for text in texts:
            assert not set(text) & set("{}[]"), (name, text)
            assert "  " not in text, (name, text)
            assert not text.endswith((" ", ":", ",")), (name, text)


def test_a_task_is_named_by_its_id_and_title_and_as_it_where_it_is_the_subject(orc: Orchestrator):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="Write the conventions")
    orc.tasks.claim(task.id, agent="dan")
    orc.tasks.complete(task.id, result="In docs/.", agent="dan")
    (record,) = orc.events.read(last=1)
    done = f"completed {task.id} Write the conventions: In docs/."
    assert Sentences(orc.engine).of(record) == done
    assert Sentences(orc.engine, subject=task.id).of(record) == "completed it: In docs/."


def test_the_holder_is_optional_in_each_sentence_because_it_can_be_the_agent_itself():
    for name, sentence in SENTENCES.items():
        assert "{holder}" not in re.sub(r"\[[^]]*\]", "", sentence), name


def test_an_agent_that_gives_back_its_own_task_is_named_once(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Ship v1").id
    orc.agents.register("ann")
    orc.tasks.claim(task, agent="ann")
    orc.tasks.release(task, reason="lunch", agent="ann")
    orc.tasks.claim(task, agent="ann")
    orc.agents.retire("ann", agent="boss")
    released = [r for r in orc.events.read() if r.type == "task.released"]
    sentences = Sentences(orc.engine, subject=task)
    assert [sentences.of(record) for record in released] == [
        "released it: lunch",
        "released it of ann: ann retired",
    ]


def test_an_archived_task_keeps_its_title(orc: Orchestrator):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="Old")
    orc.tasks.cancel(task.id, reason="not wanted")
    (record,) = orc.events.read(last=1)
    orc.tasks.archive([task.id])
    assert Sentences(orc.engine).of(record) == f"cancelled {task.id} Old: not wanted"


def test_an_edit_shows_old_and_new_values(orc: Orchestrator):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="One", labels=["ui"])
    orc.tasks.edit(task.id, priority=1, labels=["ui", "api"], due="2026-12-01T00:00:00Z")
    assert last_of(orc) == (
        f"changed {task.id} One: priority 5 -> 1, labels ui -> ui, api,"
        " due none -> 2026-12-01T00:00:00.000Z"
    )
    orc.tasks.edit(task.id, priority=2, description="long " * 100)
    assert last_of(orc) == f"changed {task.id} One: description, priority 1 -> 2"


def test_text_of_agents_is_data(orc: Orchestrator):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="{title} [x] {task:task}")
    orc.tasks.cancel(task.id, reason="[{reason}]\n{nothing}")
    text = f"cancelled {task.id} {{title}} [x] {{task:task}}: [{{reason}}] {{nothing}}"
    assert last_of(orc) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [({}, "logged deployed"), ({"n": 3, "at": "a\nb"}, "logged deployed: n=3, at=a b")],
)
def test_an_event_of_an_agent_shows_its_facts(
    orc: Orchestrator, facts: dict[str, object], text: str
):
    orc.events.log("ann", "deployed", **facts)
    assert last_of(orc) == text


def test_an_event_of_a_type_that_became_the_toolkits_later_stays_the_agents(orc: Orchestrator):
    orc.events.log("ann", "decision.added", number=7)
    assert last_of(orc) == "logged decision.added: number=7"


def test_times_are_shown_as_the_caller_wants(orc: Orchestrator):
    orc.workstreams.create("w")
    orc.tasks.claim(orc.tasks.add("w", title="One").id, agent="dan")
    (record,) = orc.events.read(last=1)
    shown: Callable[[str], str] = lambda moment: f"<{len(moment)}>"  # noqa: E731
    assert Sentences(orc.engine, shown).of(record).endswith("One until <24>")


def test_an_event_of_before_an_upgrade_stays_the_agents_after_it(orc: Orchestrator):
    orc.events.log("ann", "decision.added", number=7)
    (before,) = orc.events.read(last=1)
    orc.decisions.add("Use tabs", agent="ann")
    assert Sentences(orc.engine).of(before) == "logged decision.added: number=7"
    assert last_of(orc).startswith("decided (1): Use tabs")
