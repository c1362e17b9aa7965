"""The workstream of a task if none is named."""

import pytest

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, NotFound, UsageError
from orchestrator.domain.board.settings import BoardSettings


def set_to(orc: Orchestrator, text: str) -> None:
    orc.engine.documents.write("config.toml", text.encode())


def test_the_first_task_of_an_empty_board_begins_main(orc: Orchestrator) -> None:
    assert orc.tasks.add(title="A").workstream == "main"
    assert [event.type for event in orc.events.read()] == ["workstream.created", "task.added"]
    assert orc.tasks.add(title="B").workstream == "main"
    assert len(orc.workstreams.all()) == 1


def test_it_belongs_to_the_only_workstream_that_is_active(orc: Orchestrator) -> None:
    orc.workstreams.create("old")
    orc.workstreams.create("build")
    orc.workstreams.close("old")
    assert orc.tasks.add(title="A").workstream == "build"


def test_of_several_none_is_taken_and_all_are_named(orc: Orchestrator) -> None:
    orc.workstreams.create("ui")
    orc.workstreams.create("api")
    with pytest.raises(
        UsageError, match="The workstream is missing: it is one of api, ui"
    ) as error:
        orc.tasks.add(title="A")
    assert (error.value.code, error.value.exit_status) == ("workstream_needed", 2)
    orc.workstreams.close("ui")
    orc.workstreams.close("api")
    with pytest.raises(UsageError, match="all are closed"):
        orc.tasks.add(title="A")


def test_the_settings_name_the_default(orc: Orchestrator) -> None:
    orc.workstreams.create("ui")
    orc.workstreams.create("api")
    set_to(orc, 'workstream = "ui"  # ours')
    assert orc.tasks.add(title="A").workstream == "ui"
    assert orc.tasks.add("api", title="A").workstream == "api"
    set_to(orc, 'workstream = "web"')
    with pytest.raises(NotFound, match=r"no workstream 'web', which config\.toml names"):
        orc.tasks.add(title="A")


@pytest.mark.parametrize("text", ["workstream = 3", "workstream", 'workstraem = "ui"', "\xff"])
def test_settings_that_cannot_be_used_are_refused_with_what_they_may_be(
    orc: Orchestrator, text: str
) -> None:
    orc.workstreams.create("ui")
    orc.engine.documents.write("config.toml", text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"config\.toml cannot be used") as error:
        orc.tasks.add(title="A")
    known = ", ".join(BoardSettings.__struct_fields__)
    assert error.value.hint == f"It may set: {known}."
    assert orc.tasks.all() == []


def test_an_unknown_workstream_is_refused_with_the_nearest(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    with pytest.raises(NotFound, match="no workstream 'biuld'; did you mean 'build'"):
        orc.tasks.add("biuld", title="A")
    with pytest.raises(NotFound, match=r"no workstream 'ui'$"):
        orc.tasks.add("ui", title="A")
