"""No program in the files of a board runs before it is trusted on this machine."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator import OrchestratorError
from orchestrator.core.trust import Trust, digest_of
from orchestrator.supervisor.agent_files import load_agent

AGENT = "---\nlisten: [x]\n---\nDo it.\n"


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(str(tmp_path / "user"))


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agents" / "plan.md"
    path.parent.mkdir()
    path.write_text(AGENT)
    return path


def test_a_file_is_trusted_with_its_content_and_at_its_path(
    trust: Trust, agent: Path, tmp_path: Path
):
    digest = load_agent(str(agent)).digest
    assert digest == digest_of(agent.read_bytes())
    assert trust.state_of(str(agent), digest) == "new"
    trust.add({str(agent): digest})
    assert trust.is_trusted(str(agent), digest)
    assert trust.is_trusted(str(agent.parent / ".." / "agents" / "plan.md"), digest)
    copy = tmp_path / "plan.md"
    copy.write_text(AGENT)
    assert not trust.is_trusted(str(copy), digest)
    agent.write_text(AGENT + "rm -rf /")
    changed = load_agent(str(agent)).digest
    assert trust.state_of(str(agent), changed) == "changed"
    assert not trust.is_trusted(str(agent), changed)


def test_trust_is_taken_back(trust: Trust, agent: Path):
    trust.add({str(agent): "1", str(agent.parent / "b.md"): "2"})
    trust.remove([str(agent)])
    assert trust.state_of(str(agent), "1") == "new"
    assert trust.is_trusted(str(agent.parent / "b.md"), "2")


def test_a_change_by_another_process_counts_at_once(trust: Trust, agent: Path, tmp_path: Path):
    other = Trust(str(tmp_path / "user"))
    for _ in range(20):
        other.add({str(agent): "1"})
        assert trust.is_trusted(str(agent), "1")
        other.add({str(agent): "2"})  # as long as the content before
        assert not trust.is_trusted(str(agent), "1")
        other.remove([str(agent)])
        assert not trust.is_trusted(str(agent), "2")


def test_another_process_sees_it_and_none_is_lost(trust: Trust, agent: Path, tmp_path: Path):
    paths = [str(agent.parent / f"{n}.md") for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: Trust(str(tmp_path / "user")).add({path: "d"}), paths))
    assert all(trust.is_trusted(path, "d") for path in paths)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": 1}', '{"more": {}}', ""])
def test_a_damaged_file_trusts_nothing_with_a_warning(trust: Trust, agent: Path, text: str):
    trust.add({str(agent): "1"})
    Path(trust.path).write_text(text)
    with pytest.raises(OrchestratorError) as caught:
        trust.is_trusted(str(agent), "1")
    assert caught.value.code == "bad_trust_file"
    with pytest.raises(OrchestratorError):
        trust.add({str(agent): "1"})
    assert Path(trust.path).read_text() == text


@pytest.mark.needs("links")
def test_a_link_in_place_of_the_file_is_refused(trust: Trust, agent: Path, tmp_path: Path):
    other = tmp_path / "other.json"
    other.write_text('{"files": {}}')
    Path(trust.path).parent.mkdir()
    Path(trust.path).symlink_to(other)
    with pytest.raises(OrchestratorError):
        trust.add({str(agent): "1"})
    assert other.read_text() == '{"files": {}}'


def test_a_board_cannot_hold_its_own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "board" / "data"))
    with pytest.raises(OrchestratorError) as caught:
        Trust(project=str(tmp_path / "board"))
    assert caught.value.code == "trust_in_project"


def test_an_agent_that_an_event_started_trusts_nothing(
    trust: Trust, agent: Path, monkeypatch: pytest.MonkeyPatch
):
    trust.add({str(agent): "1"})
    monkeypatch.setenv("ORC_CAUSE", "1/x")
    for change in (lambda: trust.add({str(agent): "2"}), lambda: trust.remove([str(agent)])):
        with pytest.raises(OrchestratorError) as caught:
            change()
        assert caught.value.code == "not_yours"
    assert trust.is_trusted(str(agent), "1")
