"""What the toolkit adds to a file of another program, and how it is recognized, updated and removed.

A part changes a text and never a file. Ours is what calls the toolkit for this client; an entry of our name
that calls something else is foreign and never overwritten.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from orchestrator.core.errors import BadInput, Refused
from orchestrator.integrations.clients.json_text import JsonText, Path
from orchestrator.integrations.clients.onboarding import BEGIN, END

NAME = "orc"
"""The name of the MCP server in the files of clients."""

_STARTING = ("type", "command", "args")
"""The members of the entry of a server that say how it is started."""


class Part(ABC):
    """A part that is added to one file; if the part makes the file, the file gets ``mode``."""

    mode = 0o644

    @abstractmethod
    def add(self, text: str) -> str:
        """The text with this part in it; unchanged if it is there already.

        Raises:
            Refused: A foreign file or entry has its name.
            BadInput: The text is not of the format that the client reads.
        """

    @abstractmethod
    def remove(self, text: str, original: str | None = None) -> str:
        """The text without this part.

        Args:
            text: The text.
            original: What it was before; objects that were empty there stay.
        """

    def shown(self) -> str:
        """What is added, for people who add it themselves."""
        return self.add("")


class ClientHook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook: the event of the client, the command line, and the pattern of the events that it is for."""

    event: str
    command: str
    matcher: str = ""


class JsonPart(Part):
    """A server and hooks in a JSON file.

    Args:
        client: The client, by which what is ours is recognized.
        server: The path of the entry of the server, and the entry.
        hooks: The hooks.
        hook_facts: Further members of each hook.
        is_flat: A list of hooks has the hooks themselves, not groups of them.
        needed: Members that the client expects in a new file.
    """

    def __init__(
        self,
        client: str,
        *,
        server: tuple[Path, dict[str, Any]] | None = None,
        hooks: tuple[ClientHook, ...] = (),
        hook_facts: Mapping[str, Any] | None = None,
        is_flat: bool = False,
        needed: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._server = server
        self._hooks = hooks
        self._facts = dict(hook_facts or {})
        self._is_flat = is_flat
        self._needed = dict(needed or {})

    def add(self, text: str) -> str:
        json = JsonText(text)
        if not json.value:
            for name, value in self._needed.items():
                json.set((name,), value)
        if self._server is not None:
            self._add_server(json, *self._server)
        events = {hook.event for hook in self._hooks}
        wanted = {hook.event: hook.command for hook in self._hooks}
        for event, places in self._ours(json).items():
            commands = [command for _, _, command in places]
            if event not in events or commands != [wanted[event]]:
                self._remove_hooks(json, event)
        known = self._ours(json)
        for hook in self._hooks:
            if hook.event not in known:
                json.append(("hooks", hook.event), self._group(hook))
        return json.text

    def remove(self, text: str, original: str | None = None) -> str:
        json, before = JsonText(text), JsonText(original or "")
        if self._server is not None:
            path = self._server[0]
            entry = json.get(path)
            if entry is not None and is_ours(entry, self._client):
                json.remove(path)
                _prune(json, path[:-1], before)
        for event in self._ours(json):
            self._remove_hooks(json, event)
            _prune(json, ("hooks", event), before)
        for name, value in self._needed.items():
            if json.value == {name: value} and before.get((name,)) is None:
                json.remove((name,))
        return json.text

    def _add_server(self, json: JsonText, path: Path, entry: dict[str, Any]) -> None:
        known = json.get(path)
        if known is None:
            json.set(path, entry)
            return
        if not is_ours(known, self._client):
            raise Refused(
                f"{'.'.join(path)} is there already, and it is not ours",
                code="foreign_entry",
                hint="Give that entry another name first.",
            )
        for name, value in _renewed(known, entry, self._client).items():
            if name not in known or known[name] != value:
                json.set((*path, name), value)

    def _group(self, hook: ClientHook) -> dict[str, Any]:
        matcher = {"matcher": hook.matcher} if hook.matcher else {}
        call = {"command": hook.command, **self._facts}
        if self._is_flat:
            return {**call, **matcher}
        return {**matcher, "hooks": [{"type": "command", **call}]}

    def _ours(self, json: JsonText) -> dict[str, list[tuple[int, int, str]]]:
        """Our hooks by event: their place in the list, their place in a group, and the command line."""
        hooks = json.get(("hooks",))
        if hooks is None:
            return {}
        if not isinstance(hooks, dict):
            raise BadInput("hooks is not an object")
        return {
            event: places for event, groups in hooks.items() if (places := [*self._places(groups)])
        }

    def _places(self, groups: Any) -> Iterator[tuple[int, int, str]]:
        for i, group in enumerate(groups if isinstance(groups, list) else ()):
            if not isinstance(group, dict):
                continue
            calls = [group] if self._is_flat else group.get("hooks")
            for k, call in enumerate(calls if isinstance(calls, list) else ()):
                command = call.get("command") if isinstance(call, dict) else None
                if isinstance(command, str) and command.endswith(f" --hook {self._client}"):
                    yield i, k, command

    def _remove_hooks(self, json: JsonText, event: str) -> None:
        while places := self._ours(json).get(event):
            i, k, _ = places[-1]
            groups = json.get(("hooks", event))
            if not self._is_flat and len(groups[i]["hooks"]) > 1:
                json.remove_inner(("hooks", event), i, "hooks", k)
            else:
                json.remove(("hooks", event), i)


def is_ours(entry: Any, client: str) -> bool:
    """Whether the entry of a server starts the toolkit for this client."""
    return _added_words(entry, client) is not None


def _added_words(entry: Any, client: str) -> list[str] | None:
    """What a person has added to our words, such as ``--tools minimal``; None for a foreign entry."""
    if not isinstance(entry, Mapping):
        return None
    parts = [entry.get("command"), entry.get("args") or []]
    words = [str(w) for part in parts for w in (part if isinstance(part, list) else [part])]
    ours = ["mcp", "--client", client]
    for start in range(1, len(words) - 2):
        if words[start : start + 3] == ours:
            return words[start + 3 :]
    return None


def _renewed(known: Mapping[str, Any], entry: Mapping[str, Any], client: str) -> dict[str, Any]:
    """The entry of a server with our way to start it; what a person has changed besides stays."""
    ours = {name: value for name, value in entry.items() if name in _STARTING or name not in known}
    last = "args" if "args" in entry else "command"
    ours[last] = [*entry[last], *(_added_words(known, client) or [])]
    return {**known, **ours}


def _prune(json: JsonText, path: Path, before: JsonText) -> None:
    """Remove what is empty now and was not there before, from the inside out."""
    while path and json.get(path) in ({}, []) and before.get(path) is None:
        json.remove(path)
        path = path[:-1]


class TomlPart(Part):
    """A table of a TOML file, which is added at its end.

    Args:
        client: The client.
        path: The names of the table.
        entry: Its content.
    """

    def __init__(self, client: str, path: Path, entry: dict[str, Any]) -> None:
        self._client = client
        self._path = path
        self._entry = entry

    def add(self, text: str) -> str:
        values = _toml(text)
        known = _inner(values, self._path)
        if known is not None and not is_ours(known, self._client):
            raise Refused(
                f"{'.'.join(self._path)} is there already, and it is not ours",
                code="foreign_entry",
                hint="Give that entry another name first.",
            )
        entry = self._entry if known is None else _renewed(known, self._entry, self._client)
        if known == entry:
            return text
        table = _like(text, self._table(entry))
        if known is None:
            places = [(text + _gap(text), table, "")]
        else:
            places = [(text[:start], table, text[end:]) for start, end in self._places(text)]
        return self._edited(text, places, entry)

    def remove(self, text: str, original: str | None = None) -> str:
        known = _inner(_toml(text), self._path)
        if known is None or not is_ours(known, self._client):
            return text
        places = []
        for start, end in self._places(text):
            before, after = text[:start], text[end:]
            places.append((before if after.strip() else _without_gap(before), "", after))
        return self._edited(text, places, None)

    def _table(self, entry: dict[str, Any]) -> str:
        return f"[{'.'.join(self._path)}]\n{tomlkit.dumps(entry)}"

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where lines that look like the table begin and end, without comments after the last value."""
        header = re.escape(f"[{'.'.join(self._path)}]")
        for match in re.finditer(rf"^[ \t]*{header}[ \t]*(#[^\n]*)?\r?\n?", text, re.MULTILINE):
            end = match.end()
            for line in text[end:].splitlines(keepends=True):
                if not re.match(r"[ \t]*[\w\"'-]+[ \t]*=", line):
                    break
                end += len(line)
            yield match.start(), end

    def _edited(self, text: str, places: list[tuple[str, str, str]], wanted: Any) -> str:
        """The text of the place where the table has the wanted content, and all else is as it was."""
        others = _without(_toml(text), self._path)
        for parts in places:
            edited = "".join(parts)
            with suppress(BadInput):
                values = _toml(edited)
                if _inner(values, self._path) == wanted and _without(values, self._path) == others:
                    return edited
        raise Refused(
            f"{'.'.join(self._path)} is written in another form than ours",
            code="foreign_form",
            hint="Change it by hand.",
        )


def _without(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy without the table of a path, and without the tables that are empty then."""
    name, *rest = path
    inner = values.get(name)
    left = _without(inner, tuple(rest)) if rest and isinstance(inner, dict) else {}
    others = {k: v for k, v in values.items() if k != name}
    return {**others, name: left} if left else others


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise BadInput(f"this is not TOML: {error}") from None


def _inner(values: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(values, dict):
            raise BadInput(f"what holds {name!a} is not a table")
        if name not in values:
            return None
        values = values[name]
    return values


def _gap(text: str) -> str:
    """What separates our part from the text before it."""
    return _like(text, "" if not text else "\n" if text.endswith("\n") else "\n\n")


def _without_gap(text: str) -> str:
    return re.sub(r"(?<=\n)\r?\n\Z", "", text)


def _like(text: str, new: str) -> str:
    """A new part with the line ends of the text."""
    return new.replace("\n", "\r\n") if "\r\n" in text else new


class BlockPart(Part):
    """A marked block at the end of a text in markdown.

    Args:
        block: The block with its marks.
    """

    def __init__(self, block: str) -> None:
        self._block = block

    def add(self, text: str) -> str:
        block = _like(text, self._block)
        place = _block_place(text)
        if place is not None:
            return text[: place[0]] + block.rstrip("\r\n") + text[place[1] :]
        return text + _gap(text) + block

    def remove(self, text: str, original: str | None = None) -> str:
        place = _block_place(text)
        if place is None:
            return text
        before, after = text[: place[0]], text[place[1] :]
        after = re.sub(r"\A\r?\n", "", after)
        return (before if after.strip() else _without_gap(before)) + after


def _block_place(text: str) -> tuple[int, int] | None:
    """Where the block begins and ends.

    Raises:
        BadInput: One of its marks is missing, or is there twice.
    """
    begins = [m.start() for m in re.finditer(r"^<!-- orc:begin\b", text, re.MULTILINE)]
    ends = [m.end() for m in re.finditer(rf"^{re.escape(END)}", text, re.MULTILINE)]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise BadInput(f"the marks {BEGIN!a} and {END!a} are not there once each, in this order")
    return begins[0], ends[0]


class OwnFile(Part):
    """A whole file of ours.

    Args:
        content: What is in it.
        mark: The first line, by which it is recognized.
    """

    def __init__(self, content: str, mark: str) -> None:
        self._content = f"{mark}\n{content}"
        self._mark = mark

    def add(self, text: str) -> str:
        if text and not text.startswith(self._mark):
            raise Refused("this file is there already, and it is not ours", code="foreign_entry")
        return self._content

    def remove(self, text: str, original: str | None = None) -> str:
        return "" if text.startswith(self._mark) else text
