"""Signatures and hints of all public commands and queries are right, and all refuse a text as a list."""

import inspect
import pydoc
import types
import typing
from collections.abc import Callable, Iterable, Mapping

import pytest

from orchestrator import Orchestrator, UsageError
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.records import OUTCOMES, SEVERITIES, Agent
from orchestrator.domain.mail.records import KINDS, PRIORITIES
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import BLOCKING
from orchestrator.domain.tasks.relations import KINDS as LINK_KINDS
from orchestrator.domain.tasks.stages import STANDINGS
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.stores.memory import MemoryStore

Call = Callable[..., object]


def the_names(_state: State, events: Committed) -> list[str]:
    """The types of the events."""
    return [entry.type for entry, _ in events]


def nouns() -> dict[str, Noun[State]]:
    """Every noun of the facade by its attribute."""
    orc = Orchestrator(MemoryStore(), agent="agent-1")
    return {
        name: noun
        for name in dir(orc)
        if not name.startswith("_") and isinstance(noun := getattr(orc, name), Noun)
    }


def calls() -> dict[str, Call]:
    """Every public command and query of a board by name."""
    facade = Orchestrator(MemoryStore(), agent="agent-1")
    return {
        f"{name}.{attribute}": call
        for name, noun in {**nouns(), "orc": facade}.items()
        for attribute in dir(noun)
        if not attribute.startswith("_") and inspect.ismethod(call := getattr(noun, attribute))
    }


CALLS = calls()


def hints(call: Call) -> dict[str, object]:
    return typing.get_type_hints(call)


def parameters_of_lists() -> list[tuple[str, str]]:
    """Each call with a parameter that takes several values, and no single text."""

    def is_list(hint: object) -> bool:
        choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        origins = [typing.get_origin(choice) for choice in choices]
        return str not in choices and any(
            isinstance(origin, type)
            and issubclass(origin, Iterable)
            and not issubclass(origin, Mapping)
            for origin in origins
        )

    return [
        (name, parameter)
        for name, call in CALLS.items()
        for parameter, hint in hints(call).items()
        if parameter != "return" and is_list(hint)
    ]


OF_ANY_NUMBER = [
    name
    for name, call in CALLS.items()
    if any(each.kind is each.VAR_POSITIONAL for each in inspect.signature(call).parameters.values())
]
"""Calls that cannot have too many arguments."""


def needed_arguments(name: str) -> dict[str, object]:
    """A value for each argument that a call needs."""
    lists = parameters_of_lists()
    return {
        needed: ["x"]
        if (name, needed) in lists
        else 1
        if hints(CALLS[name])[needed] is int
        else "x"
        for needed, parameter in inspect.signature(CALLS[name]).parameters.items()
        if parameter.default is parameter.empty
    }


def test_the_walk_reaches_every_noun() -> None:
    assert {"tasks", "locks", "mail", "links", "reviews", "workflows", "formulas"} <= {*nouns()}
    assert len(CALLS) > 90


@pytest.mark.parametrize("name", CALLS)
def test_a_call_shows_its_own_signature_hints_and_words(name: str) -> None:
    call = CALLS[name]
    signature = inspect.signature(call)
    resolved = hints(call)
    assert not {"self", "tx"} & {*signature.parameters}
    assert {*signature.parameters, "return"} == {*resolved}
    result = resolved["return"]
    if name not in ("orc.close", "orc.primed"):
        assert result not in (type(None), typing.Any), "a command returns what it did"
    shown = signature.return_annotation
    assert shown == result or shown is None or isinstance(shown, str)
    assert inspect.getdoc(call), "help has nothing to say"
    assert "tx" not in pydoc.render_doc(call, renderer=pydoc.plaintext).split("\n")[2]


@pytest.mark.parametrize("name", [name for name in CALLS if name not in OF_ANY_NUMBER])
def test_a_wrong_call_is_refused_by_the_arguments_that_its_caller_sees(name: str) -> None:
    call = CALLS[name]
    signature = inspect.signature(call)
    positional = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    extra: list[object] = [None] * (len(positional) + 1)
    needed = {
        parameter.name: None
        for parameter in signature.parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    }
    with pytest.raises(TypeError, match=rf"{call.__name__}\(\) takes") as caught:
        call(*extra, **needed)
    assert f"but {len(extra) + 1}" in str(caught.value)
    assert "tx" not in str(caught.value)


def test_a_wrong_call_changes_nothing_and_an_error_of_the_body_stays_itself() -> None:
    orc = Orchestrator(MemoryStore())
    with pytest.raises(TypeError, match=r"\.claim\(\) missing 1 .*: 'task'"):
        orc.tasks.claim()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        orc.tasks.claim("abcd", colour="red")  # type: ignore[call-arg]
    assert orc.events.read() == []


@pytest.mark.parametrize("name", ["tasks.claim", "tasks.archive"])
def test_the_source_of_a_command_is_the_one_that_was_written(name: str) -> None:
    assert f"def {name.partition('.')[2]}(" in inspect.getsource(CALLS[name])


class Facts(typing.TypedDict, total=False):
    """The facts of a record."""

    labels: typing.Annotated[Iterable[str], "words to find it by"]
    due: str | None


class Things(Noun[State]):
    """A noun whose command takes its facts from a declaration."""

    @command(the_names)
    def add(self, tx: Transaction[State], name: str, **facts: typing.Unpack[Facts]) -> None:
        """Add a thing."""
        tx.record_custom("thing", {"name": name, **facts})


def test_facts_that_are_declared_once_are_arguments_like_any_other() -> None:
    things = Things(Orchestrator(MemoryStore()).engine)
    assert str(inspect.signature(things.add)) == (
        "(name: str, *, labels: collections.abc.Iterable[str] = None, due: str | None = None)"
        " -> list[str]"
    )
    assert hints(things.add) == {
        "name": str,
        "labels": Iterable[str],
        "due": str | None,
        "return": list[str],
    }
    assert things.add("a", labels=["ui"]) == ["thing"]
    with pytest.raises(UsageError, match="`labels` takes a list"):
        things.add("b", labels="ui")
    with pytest.raises(TypeError, match=r"Things.add\(\) got an unexpected .* 'colour'"):
        things.add("c", colour="red")  # type: ignore[call-arg]


def test_the_nouns_of_the_facade_have_words_and_stay_what_they_are() -> None:
    orc = Orchestrator(MemoryStore())
    for name in nouns():
        assert name in dir(orc)
        assert inspect.getdoc(getattr(Orchestrator, name))
        with pytest.raises(AttributeError, match="stays what it is"):
            setattr(orc, name, None)


def test_closed_sets_are_written_in_the_types() -> None:
    """So an editor completes the words, and a type checker detects a wrong word."""
    words = {
        ("tasks.list", "status"): STANDINGS,
        ("sessions.done", "outcome"): OUTCOMES,
        ("sessions.escalate", "severity"): SEVERITIES,
        ("mail.send", "priority"): PRIORITIES,
        ("mail.send", "kind"): KINDS,
        ("links.add", "kind"): BLOCKING + LINK_KINDS,
    }
    for (call, parameter), expected in words.items():
        hint = hints(CALLS[call])[parameter]
        hint = typing.get_args(hint)[0] if typing.get_origin(hint) is Iterable else hint
        assert typing.get_args(hint) == expected, call
    for record in (Task, Workstream, Agent):
        assert typing.get_origin(typing.get_type_hints(record)["status"]) is typing.Literal


def test_every_listing_has_the_name_that_the_command_line_has() -> None:
    listed = {name for name, noun in nouns().items() if hasattr(noun, "all")}
    assert {"tasks", "workstreams", "agents", "locks", "knowledge", "convoys"} <= listed
    for name, noun in nouns().items():
        assert hasattr(noun, "list") == hasattr(noun, "all"), name
        if name in listed:
            assert noun.list.__func__ is noun.all.__func__  # type: ignore[attr-defined]


def test_the_state_is_not_handed_out() -> None:
    for noun in nouns().values():
        assert not hasattr(noun, "state")


def test_the_walk_reaches_the_lists() -> None:
    assert {
        ("tasks.add", "labels"),
        ("tasks.edit", "touches"),
        ("tasks.all", "any_labels"),
        ("tasks.archive", "tasks"),
        ("agents.register", "capabilities"),
        ("knowledge.write", "tags"),
        ("sessions.handoff", "files"),
    } <= {*parameters_of_lists()}


@pytest.mark.parametrize(("name", "parameter"), parameters_of_lists())
def test_a_text_does_not_pass_as_a_list(name: str, parameter: str) -> None:
    call = CALLS[name]
    arguments = needed_arguments(name)
    with pytest.raises(
        UsageError, match=f"`{parameter}` takes a list, not the text 'ui'"
    ) as caught:
        call(**{**arguments, parameter: "ui"})
    assert caught.value.hint == f"Write {parameter}=['ui']."


@pytest.mark.parametrize(("name", "parameter"), parameters_of_lists())
def test_an_item_that_is_not_text_is_refused_in_every_list_of_texts(
    name: str, parameter: str
) -> None:
    call = CALLS[name]
    hint = hints(call)[parameter]
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    items = [typing.get_args(choice) for choice in choices]
    if (str,) not in items:
        pytest.skip("its items are records")
    needed = needed_arguments(name)
    for given in ([3], iter(["ui", 3])):
        with pytest.raises(
            UsageError, match=f"`{parameter}` takes a list of texts, and 3 is not a text"
        ):
            call(**{**needed, parameter: given})
    with pytest.raises(UsageError, match=f"`{parameter}` takes a list, not 3"):
        call(**{**needed, parameter: 3})


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"title": 3}, "`title` takes a text, not 3"),
        ({"title": "A", "parent": ["x"]}, "`parent` takes a text, not ['x']"),
        ({"title": "A", "estimate": []}, "`estimate` takes a text or a number, not []"),
        ({"title": "A", "review": "yes"}, "`review` takes true or false, not 'yes'"),
        ({"title": "A", "meta": {"a": 3}}, "`meta` takes a mapping of texts, and 3 is not a text"),
        ({"title": "A", "verify_timeout": []}, "`verify_timeout` takes a text or a number, not []"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_words(facts: dict[str, object], sentence: str):
    orc = Orchestrator(MemoryStore())
    orc.workstreams.create("build")
    with pytest.raises(UsageError) as caught:
        orc.tasks.add("build", **facts)  # type: ignore[arg-type]
    assert caught.value.message == sentence
    with pytest.raises(UsageError, match="`name` takes a text, not 7"):
        orc.workstreams.create(7)  # type: ignore[arg-type]
    assert orc.tasks.all() == []


def test_an_iterator_is_read_once_and_a_repeated_request_knows_its_items() -> None:
    orc = Orchestrator(MemoryStore())
    orc.workstreams.create("build")
    for _ in range(2):
        with orc.request("r-1"):
            task = orc.tasks.add("build", title="A", labels=iter(["ui", "css"]))
        assert task.labels == ("ui", "css")
    assert len(orc.tasks.all()) == 1


def test_a_text_that_stands_where_a_list_belongs_is_refused_too() -> None:
    orc = Orchestrator(MemoryStore())
    with pytest.raises(UsageError, match="`tasks` takes a list"):
        orc.tasks.archive("3fa8")
    assert orc.events.read() == []


def test_one_name_is_enough_where_one_is_meant() -> None:
    orc = Orchestrator(MemoryStore())
    assert orc.mail.send("agent-2", "Hello", agent="agent-1").to == ("agent-2",)
