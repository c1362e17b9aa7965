"""Agents, mail, knowledge, decisions, locks and permissions in a browser."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.interfaces.web import sample_boards

from .conftest import Opened

VIEWS = {
    "agents": "Agents",
    "mail": "Mail",
    "knowledge": "Knowledge and decisions",
    "decisions": "Decisions",
    "locks": "Locks",
    "permissions": "Permissions",
}


@pytest.mark.parametrize("size", ["empty", "small"])
def test_each_view_is_accessible_and_fits_on_an_empty_and_a_small_board(
    window: Opened, tmp_path: Path, size: str
) -> None:
    board = tmp_path / "board"
    getattr(sample_boards, size)(board)
    with window(board) as opened:
        for path, heading in VIEWS.items():
            opened.open(f"/{path}")
            expect(opened.page.get_by_role("heading", name=heading, level=1)).to_be_visible()
            opened.page.wait_for_load_state("networkidle")
            opened.accessible()
            opened.look(f"{path}-{size}")
