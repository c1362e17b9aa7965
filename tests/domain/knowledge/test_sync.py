"""The documents of a board in a database, and the files that each machine has of them."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import SettableClock
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.errors import Refused
from orchestrator.domain.knowledge.records import DocumentChange
from orchestrator.stores import local_files
from orchestrator.stores.files import layout
from orchestrator.stores.memory import MemoryStore


class SharedStore(MemoryStore):
    """A board in memory that counts as shared by machines."""

    is_local = False


class Machine:
    """A machine with its folder of a shared board."""

    def __init__(self, store: SharedStore, clock: SettableClock, folder: Path) -> None:
        layout.make(str(folder))
        (folder / "config.toml").write_text('store = "postgresql:///x"\n')
        self.folder = folder
        self.orc = Orchestrator(
            store, now=clock, machine=folder.name, local=local_files(str(folder))
        )

    def sync(self) -> dict[str, str]:
        """Synchronise; what happened, by path."""
        self.changes: list[DocumentChange] = self.orc.knowledge.sync()
        return {change.path: change.action for change in self.changes}

    def file(self, path: str) -> str | None:
        found = self.folder / path
        return found.read_text() if found.exists() else None

    def edit(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(text)


@pytest.fixture
def on(clock: SettableClock, memory_path: Path) -> Callable[[str], Machine]:
    store = SharedStore()
    return lambda name: Machine(store, clock, memory_path / name)


PLAN = "knowledge/plan.md"


def test_documents_go_to_every_machine_and_hand_edits_come_back(
    on: Callable[[str], Machine],
) -> None:
    mill, forge = on("mill"), on("forge")
    mill.orc.knowledge.write("plan", "one", agent="ann", tags=["x"])
    assert forge.sync() == {PLAN: "written"}
    text = forge.file(PLAN) or ""
    assert text.endswith("one\n")
    assert forge.sync() == {}
    forge.edit(PLAN, text.replace("one", "two"))
    assert mill.sync() == {PLAN: "written"}
    assert forge.sync() == {PLAN: "adopted"}
    assert mill.orc.knowledge.read("plan") == "two\n"
    newest = mill.orc.knowledge.history("plan")[-1]
    assert (newest.version, newest.author, newest.tags) == (2, "ann", ("x",))
    assert mill.sync() == {PLAN: "written"}
    assert mill.file(PLAN) == forge.file(PLAN)
    forge.edit("knowledge/new.md", "fresh")
    assert forge.sync() == {"knowledge/new.md": "adopted"}
    assert mill.sync() == {"knowledge/new.md": "written"}
    assert mill.file("knowledge/new.md") == "fresh"
    assert (mill.sync(), forge.sync()) == ({}, {})


def test_if_both_sides_changed_the_board_keeps_its_text_and_its_history_has_the_other(
    on: Callable[[str], Machine],
) -> None:
    mill, forge = on("mill"), on("forge")
    mill.orc.knowledge.write("plan", "one", agent="ann")
    mill.sync(), forge.sync()
    mill.edit(PLAN, "by mill")
    forge.edit(PLAN, "by forge")
    assert mill.sync() == {PLAN: "adopted"}
    assert forge.sync() == {PLAN: "conflict"}
    assert "kb read plan --version 3" in forge.changes[0].detail
    assert forge.file(PLAN) == "by mill"
    texts = [version.text.strip() for version in mill.orc.knowledge.history("plan")]
    assert texts == ["one", "by mill", "by forge", "by mill"]
    assert (mill.sync(), forge.sync()) == ({}, {})


def test_a_deleted_topic_goes_everywhere_unless_it_was_edited_and_a_missing_file_comes_back(
    on: Callable[[str], Machine],
) -> None:
    mill, forge, barn = on("mill"), on("forge"), on("barn")
    mill.orc.knowledge.write("plan", "one")
    for machine in (mill, forge, barn):
        machine.sync()
    (mill.folder / PLAN).unlink()
    assert mill.sync() == {PLAN: "written"}
    mill.orc.knowledge.delete("plan")
    assert mill.sync() == {PLAN: "deleted"}
    assert mill.file(PLAN) is None
    forge.edit(PLAN, "edited")
    assert forge.sync() == {PLAN: "adopted"}  # as a new topic: nothing is lost
    assert barn.sync() == {PLAN: "written"}
    assert barn.file(PLAN) == "edited"


def test_names_and_links_that_lead_elsewhere_are_left_alone(
    on: Callable[[str], Machine], tmp_path: Path
) -> None:
    mill, forge = on("mill"), on("forge")
    outside = tmp_path / "outside.md"
    outside.write_text("outside")
    mill.orc.knowledge.write("plan", "one")
    (forge.folder / PLAN).symlink_to(outside)
    forge.edit("knowledge/My Notes.md", "mine")
    forge.edit("knowledge/bad.md", "---\ntitle: a: b\n---\n")
    forge.edit("knowledge/PLAN.md", "another case")
    mill.orc.engine.documents.write("formulas/..!.formula.toml", b"")
    mill.orc.engine.documents.write("formulas/../../escaped.sql", b"x")
    assert set(forge.sync().values()) == {"kept"}
    assert {change.path for change in forge.changes} == {
        PLAN,
        "knowledge/My Notes.md",
        "knowledge/bad.md",
        "knowledge/PLAN.md",
        "formulas/..!.formula.toml",
    }
    assert outside.read_text() == "outside"
    assert forge.file("knowledge/My Notes.md") == "mine"
    (forge.folder / "knowledge").rename(forge.folder / "moved")
    (forge.folder / "knowledge").symlink_to(tmp_path)
    with pytest.raises(Refused):
        forge.sync()
    assert not (tmp_path / "plan.md").exists()


def test_decisions_formulas_queries_and_the_settings_are_documents_too(
    on: Callable[[str], Machine],
) -> None:
    mill, forge = on("mill"), on("forge")
    decision = mill.orc.decisions.add("Use TOML", context="a", decision="b", consequences="c")
    mill.edit("formulas/ship.formula.toml", 'name = "ship"\n')
    mill.edit("queries/late.sql", "SELECT 1\n")
    mill.edit("config.toml", 'store = "postgresql:///x"\nworkstream = "build"\n')
    assert set(mill.sync().values()) == {"adopted", "written"}
    forge.sync()
    assert forge.file("queries/late.sql") == "SELECT 1\n"
    assert forge.file("config.toml") == 'store = "postgresql:///x"\nworkstream = "build"\n'
    assert b"store" not in (mill.orc.engine.documents.read("config.toml") or b"")
    forge.edit("config.toml", 'store = "postgresql:///x"\nworkstream = 7\n')
    assert forge.sync() == {"config.toml": "kept"}
    document = forge.file(decision.path) or ""
    forge.edit(decision.path, document.replace("Use TOML", "Use YAML"))
    mill.edit(decision.path, document.replace("Use TOML", "Use JSON"))
    assert forge.sync()[decision.path] == "adopted"
    assert mill.sync()[decision.path] == "conflict"
    titles = [version.title for version in mill.orc.decisions.history(1)]
    assert titles == ["Use TOML", "Use YAML", "Use JSON", "Use YAML"]
    forge.edit("queries/late.sql", "SELECT 2\n")
    mill.edit("queries/late.sql", "SELECT 3\n")
    forge.sync()
    assert mill.sync() == {"queries/late.sql": "conflict"}
    (beside,) = (mill.folder / "queries").glob("*.mine")
    assert (beside.read_text(), mill.file("queries/late.sql")) == ("SELECT 3\n", "SELECT 2\n")
    (mill.folder / "queries/late.sql").unlink()
    assert mill.sync() == {"queries/late.sql": "deleted"}
    assert forge.sync()["queries/late.sql"] == "deleted"


def test_a_board_of_files_has_nothing_to_synchronise(board: Orchestrator) -> None:
    board.knowledge.write("plan", "one")
    assert board.knowledge.sync() == []


def test_a_board_without_a_folder_says_how_to_get_one() -> None:
    with pytest.raises(Refused) as raised:
        Orchestrator(SharedStore(), machine="mill").knowledge.sync()
    assert raised.value.code == "no_folder"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "edit", "sync", "delete", "unlink"]),
        st.sampled_from([0, 1]),
        st.sampled_from(["plan", "notes"]),
    ),
    max_size=25,
)


@given(steps=STEPS)
def test_no_text_is_lost_and_the_machines_agree_in_the_end(
    steps: list[tuple[str, int, str]],
) -> None:
    """Whatever is written and edited where, in whichever order it is synchronised."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        store, clock = SharedStore(), SettableClock()
        machines = [Machine(store, clock, Path(folder, name)) for name in ("mill", "forge")]
        texts: dict[str, set[str]] = {"plan": set(), "notes": set()}
        seen: dict[tuple[int, str], str] = {}  # edits that no synchronisation has seen yet
        for number, (what, which, topic) in enumerate(steps):
            machine, path = machines[which], f"knowledge/{topic}.md"
            text = f"text {number}\n"
            if what == "write":
                machine.orc.knowledge.write(topic, text)
                texts[topic].add(text)
            elif what == "delete":
                machine.orc.knowledge.delete(topic)
            elif what == "edit":
                machine.edit(path, text)
                seen[which, topic] = text
            elif what == "unlink" and machine.file(path) is not None:
                (machine.folder / path).unlink()
                seen.pop((which, topic), None)  # whoever removes a file before, loses its edit
            elif what == "sync":
                machine.sync()
                for name in texts:
                    texts[name] |= {t for t in [seen.pop((which, name), None)] if t}
        for which in (0, 1, 0, 1):
            machines[which].sync()
        for name in texts:
            texts[name] |= {t for (_, topic), t in seen.items() if topic == name}
            known = machines[0].orc.engine.read().knowledge.get(name)
            found = machines[0].orc.knowledge.history(name) if known else []
            assert texts[name] <= {version.text for version in found}
            files = [machine.file(f"knowledge/{name}.md") for machine in machines]
            assert files == [machines[0].orc.knowledge.read(name)] * 2
        assert [machine.sync() for machine in machines] == [{}, {}]
