"""Setting up clients: what is written, twice, removed, and refused, on files as people leave them."""

import json
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.integrations.clients.clients import CLIENTS, HOOK_WORDS, SetupPlace
from orchestrator.integrations.clients.json_text import parse
from orchestrator.integrations.clients.onboarding import block
from orchestrator.integrations.clients.setting_up import set_up

from . import zoo

ALL = tuple(CLIENTS)


@pytest.fixture(autouse=True)
def _own_backups(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(memory_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(memory_path / "data"))


@pytest.fixture
def project(memory_path: Path) -> Path:
    folder = memory_path / "project"
    folder.mkdir()
    return folder


def place(project: Path, *words: str, is_user: bool = False) -> SetupPlace:
    return SetupPlace(top=str(project), is_user=is_user, words=words or ("orc",))


def files(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, and every folder that has none."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"(folder)"
        for path in sorted(folder.rglob("*"))
    }


def targets(project: Path) -> Iterator[tuple[str, str]]:
    """Each client with each of its files."""
    for name, client in CLIENTS.items():
        for path in client.files(place(project)):
            yield name, path


def animals(path: str) -> dict[str, bytes]:
    if path.endswith(".toml"):
        return zoo.TOML
    return zoo.JSON if path.endswith((".json", ".jsonc")) else {}


def test_each_client_gets_its_files_and_a_second_setup_changes_nothing(project: Path) -> None:
    assert not set_up(ALL, place(project), dry=True).is_complete
    assert files(project) == {}, "a rehearsal writes nothing"

    done = set_up(ALL, place(project))
    assert {change.action for change in done.files} == {"create"}
    once = files(project)
    assert {"AGENTS.md", ".mcp.json", ".codex/config.toml", "opencode.json"} <= {*once}

    assert set_up(ALL, place(project)).is_complete
    assert files(project) == once

    set_up(ALL, place(project), removes=True)
    assert files(project) == {}, "files and folders that a setup made go with it"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("is_user", [False, True])
def test_the_files_of_a_client_are_valid_and_hold_its_server_and_hooks(
    project: Path, name: str, is_user: bool
) -> None:
    set_up([name], place(project, is_user=is_user))
    texts = {path: data.decode() for path, data in files(project).items() if data != b"(folder)"}
    values = [json.loads(text) for path, text in texts.items() if path.endswith(".json")]
    values += [tomllib.loads(text) for path, text in texts.items() if path.endswith(".toml")]
    assert "orc" in json.dumps([v for v in values if {"mcpServers", "mcp", "mcp_servers"} & {*v}])
    for words in HOOK_WORDS.values():
        if (name, words) != ("codex", HOOK_WORDS["end"]):  # codex has no event for it
            shown = json.dumps(words) if name == "opencode" else " ".join(words)
            assert any(shown.replace(" ", "") in text.replace(" ", "") for text in texts.values())


def test_every_file_of_the_zoo_is_kept_byte_for_byte(project: Path) -> None:
    for name, path in targets(project):
        for animal, data in animals(path).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(data)
            set_up([name], place(project))
            written = Path(path).read_bytes()
            assert set_up([name], place(project)).is_complete, (path, animal)
            assert _has_all(data, written), (path, animal)
            set_up([name], place(project), removes=True)
            assert Path(path).read_bytes() == data, (path, animal)
            Path(path).unlink()


def _has_all(old: bytes, new: bytes) -> bool:
    """Whether the new bytes are the old ones with some added: nothing of them is lost or moved."""
    rest = iter(new)
    return all(byte in rest for byte in old)


def test_what_others_change_after_a_setup_stays_when_it_is_removed(project: Path) -> None:
    settings = project / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{\n  "model": "opus", // mine\n  "hooks": {}\n}\n')
    set_up(["claude"], place(project))
    text = settings.read_text().replace('"opus"', '"sonnet"')
    other = '{"hooks": [{"type": "command", "command": "bd prime"}]}'
    settings.write_text(text.replace('"SessionStart": [', f'"SessionStart": [\n      {other},'))
    assert set_up(["claude"], place(project)).is_complete

    set_up(["claude"], place(project), removes=True)
    left = parse(settings.read_text()).value
    assert left == {"model": "sonnet", "hooks": {"SessionStart": [json.loads(other)]}}
    assert "// mine" in settings.read_text()


def test_a_hook_of_ours_in_a_group_of_another_tool_goes_alone(project: Path) -> None:
    set_up(["claude"], place(project))
    settings = project / ".claude" / "settings.json"
    value = json.loads(settings.read_text())
    value["hooks"]["SessionStart"][0]["hooks"].insert(0, {"type": "command", "command": "bd prime"})
    settings.write_text(json.dumps(value))
    assert set_up(["claude"], place(project)).is_complete
    set_up(["claude"], place(project), removes=True)
    left = json.loads(settings.read_text())
    assert left["hooks"] == {
        "SessionStart": [{"hooks": [{"type": "command", "command": "bd prime"}]}]
    }


def test_an_older_setup_is_brought_up_to_date_and_removed_to_the_first_bytes(project: Path) -> None:
    config = project / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_bytes(b'model = "o3" # mine\n')
    set_up(["codex", "claude"], place(project, "/old/orc"))
    assert not set_up(["codex", "claude"], place(project), dry=True).is_complete
    set_up(["codex", "claude"], place(project))
    assert "/old/orc" not in str(files(project))
    assert str(files(project)).count("prime --hook claude") == 1
    set_up(["codex", "claude"], place(project), removes=True)
    assert files(project) == {".codex": b"(folder)", ".codex/config.toml": b'model = "o3" # mine\n'}


def test_what_a_person_adds_to_our_entry_stays(project: Path) -> None:
    set_up(["claude", "codex"], place(project, "/old/orc"))
    servers = project / ".mcp.json"
    value = json.loads(servers.read_text())
    value["mcpServers"]["orc"]["env"] = {"ORC_AGENT": "ann"}
    servers.write_text(json.dumps(value))
    config = project / ".codex" / "config.toml"
    text = config.read_text().replace("startup_timeout_sec = 30", "startup_timeout_sec = 90")
    config.write_text(text + "enabled = false\n# mine\n")
    set_up(["claude", "codex"], place(project))
    assert set_up(["claude", "codex"], place(project)).is_complete
    entry = json.loads(servers.read_text())["mcpServers"]["orc"]
    assert (entry["env"], entry["command"]) == ({"ORC_AGENT": "ann"}, "orc")
    entry = tomllib.loads(config.read_text())["mcp_servers"]["orc"]
    known = (entry["startup_timeout_sec"], entry["enabled"], entry["command"])
    assert known == (90, False, "orc")
    assert "# mine" in config.read_text()


@pytest.mark.parametrize("name", ALL)
def test_words_that_a_person_adds_to_our_call_of_the_server_stay(project: Path, name: str) -> None:
    set_up([name], place(project, "/old/orc"))
    for path, data in files(project).items():
        text = data.decode().replace(f'"{name}"', f'"{name}", "--tools", "minimal"')
        if path.endswith(("json", "toml")):
            (project / path).write_text(text)
    set_up([name], place(project))
    assert set_up([name], place(project)).is_complete
    shown = str(files(project))
    assert '"--tools"' in shown
    assert "/old/orc" not in shown
    set_up([name], place(project), removes=True)
    assert '"--tools"' not in str(files(project))


@pytest.mark.parametrize(
    "entry", [None, 1, [], {}, {"command": None, "args": None}, {"args": "mcp"}]
)
def test_an_odd_entry_of_our_name_is_foreign(project: Path, entry: object) -> None:
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orc": entry}}))
    if entry is None:  # what a client takes for no entry
        set_up(["claude"], place(project))
        return
    with pytest.raises(Refused, match="not ours"):
        set_up(["claude"], place(project))


def test_a_corrupt_file_is_refused_and_no_file_is_touched(project: Path) -> None:
    for name, path in targets(project):
        bad = zoo.BAD_TOML if path.endswith(".toml") else zoo.BAD_JSON if animals(path) else {}
        for animal, data in bad.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(data)
            before = files(project)
            with pytest.raises(OrchestratorError) as refusal:
                set_up([name], place(project))
            assert path in refusal.value.message, animal
            assert files(project) == before, (path, animal)
            Path(path).unlink()


@pytest.mark.parametrize("name", ALL)
def test_a_foreign_entry_of_our_name_is_never_overwritten(project: Path, name: str) -> None:
    set_up([name], place(project))
    for path, data in files(project).items():
        changed = data.replace(b'"mcp"', b'"serve"').replace(b"// Written by", b"// Made by")
        if data != b"(folder)" and changed != data and b'"mcp": {' not in data:
            (project / path).write_bytes(changed)
            before = files(project)
            with pytest.raises(Refused) as refusal:
                set_up([name], place(project))
            assert refusal.value.code == "foreign_entry"
            assert path in refusal.value.message
            assert files(project) == before
            (project / path).write_bytes(data)


@pytest.mark.needs("modes")
def test_a_read_only_file_is_refused(project: Path) -> None:
    path = project / ".mcp.json"
    path.write_text("{}")
    path.chmod(0o444)
    with pytest.raises(Refused) as refusal:
        set_up(["claude"], place(project))
    assert refusal.value.code == "read_only"
    assert files(project) == {".mcp.json": b"{}"}


@pytest.mark.needs("links")
def test_a_link_is_followed_inside_the_project_and_refused_when_it_leaves_it(
    project: Path, tmp_path: Path
) -> None:
    (project / "shared.json").write_text("{}\n")
    (project / ".mcp.json").symlink_to("shared.json")
    set_up(["claude"], place(project))
    assert (project / ".mcp.json").is_symlink()
    assert "orc" in (project / "shared.json").read_text()
    set_up(["claude"], place(project), removes=True)
    assert (project / "shared.json").read_text() == "{}\n"

    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (project / ".mcp.json").unlink()
    (project / ".mcp.json").symlink_to(outside)
    with pytest.raises(Refused) as refusal:
        set_up(["claude"], place(project))
    assert refusal.value.code == "symlink"
    assert outside.read_text() == "{}"


@pytest.mark.needs("modes")
def test_the_mode_of_a_file_stays(project: Path) -> None:
    path = project / ".mcp.json"
    path.write_text("{}")
    path.chmod(0o600)
    set_up(["claude"], place(project))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_changed_file_is_backed_up(project: Path) -> None:
    path = project / ".mcp.json"
    path.write_bytes(b'{"mcpServers": {}}')
    done = set_up(["claude"], place(project))
    backup = next(change.backup for change in done.files if change.path == str(path))
    assert Path(backup).read_bytes() == b'{"mcpServers": {}}'


@pytest.mark.parametrize("animal", zoo.MARKDOWN)
def test_instructions_keep_every_byte(project: Path, animal: str) -> None:
    data = zoo.MARKDOWN[animal]
    for name in ("AGENTS.md", "CLAUDE.md", "GEMINI.md"):
        (project / name).write_bytes(data)
    set_up(["claude"], place(project))
    for name in ("AGENTS.md", "CLAUDE.md", "GEMINI.md"):
        text = (project / name).read_bytes()
        assert text.startswith(data)
        assert block() in text.decode().replace("\r\n", "\n")
    assert set_up(["claude"], place(project)).is_complete
    set_up(["claude"], place(project), removes=True)
    assert (project / "AGENTS.md").read_bytes() == data


def test_an_instruction_file_that_brings_in_the_other_gets_no_second_block(project: Path) -> None:
    (project / "CLAUDE.md").write_text("@AGENTS.md\n")
    set_up(["claude"], place(project))
    assert (project / "CLAUDE.md").read_text() == "@AGENTS.md\n"
    assert block() in (project / "AGENTS.md").read_text()


def test_the_block_is_renewed_in_its_place_and_torn_marks_are_refused(project: Path) -> None:
    agents = project / "AGENTS.md"
    agents.write_text("# Top\n\n<!-- orc:begin (old) -->\nold\n<!-- orc:end -->\n\n# Below\n")
    set_up(["claude"], place(project))
    assert agents.read_text() == f"# Top\n\n{block()}\n# Below\n"
    agents.write_text("<!-- orc:begin -->\nno end\n")
    with pytest.raises(OrchestratorError, match=r"AGENTS\.md"):
        set_up(["claude"], place(project))


def test_the_block_stays_while_another_client_is_set_up(project: Path) -> None:
    set_up(["claude", "codex"], place(project))
    set_up(["codex"], place(project), removes=True)
    assert (project / "AGENTS.md").exists()
    set_up(["claude"], place(project), removes=True)
    assert files(project) == {}


HOSTILE = (
    "with blank",
    'double"quote',
    "single'quote",
    "new\nline",
    "$(touch hacked)",
    "`touch hacked`",
    "semi;touch hacked",
    "back\\slash",
    "tab\tname",
    "é🙂",
    "-dash",
    "a&b|c>d",
    "percent%s",
)


@pytest.mark.needs("names")
@pytest.mark.parametrize("folder", HOSTILE)
def test_a_hostile_name_of_a_folder_is_one_word_of_a_hook(
    tmp_path: Path, project: Path, folder: str
) -> None:
    program = tmp_path / folder / "orc"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
    program.chmod(0o755)
    words = (str(program), "--board", str(program.parent))
    set_up(ALL, place(project, *words))
    assert set_up(ALL, place(project, *words)).is_complete
    groups = json.loads((project / ".claude" / "settings.json").read_text())["hooks"]
    line = groups["SessionStart"][0]["hooks"][0]["command"]
    assert shlex.split(line) == [*words, "prime", "--hook", "claude"]
    ran = subprocess.run(["sh", "-c", line], capture_output=True, cwd=project, check=True)
    heard = ran.stdout.decode().split("\0")[:-1]
    assert heard == ["--board", str(program.parent), "prime", "--hook", "claude"]
    entry = tomllib.loads((project / ".codex" / "config.toml").read_text())["mcp_servers"]["orc"]
    assert entry["command"] == str(program)
    set_up(ALL, place(project, *words), removes=True)
    assert files(project) == {}


def test_the_folders_of_a_user_are_those_that_variables_name(project: Path, tmp_path: Path) -> None:
    named = {"CLAUDE_CONFIG_DIR": str(tmp_path / "c"), "CODEX_HOME": str(tmp_path / "x")}
    user = SetupPlace(top=str(project), is_user=True, words=("orc",), variables=named)
    set_up(["claude", "codex"], user)
    assert files(project) == {}
    assert {*files(tmp_path / "c")} == {".claude.json", "settings.json"}
    assert {*files(tmp_path / "x")} == {"config.toml", "hooks.json"}
