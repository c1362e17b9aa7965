"""The pictures of the guide are those of the dashboard as it is."""

import asyncio
from pathlib import Path

import pytest

from .pictures import PICTURES, drawn, text_of

FOLDER = Path(__file__).parents[3] / "docs" / "guides" / "pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_guide_shows_what_the_dashboard_shows(name: str, utc: None):
    """Only texts are compared: frames and fonts are the library's."""
    kept = (FOLDER / f"{name}.svg").read_text()
    assert text_of(kept) == text_of(asyncio.run(drawn(*PICTURES[name]))), (
        "`make docs` draws it again"
    )


def test_the_pictures_load_nothing_from_elsewhere():
    for picture in FOLDER.glob("*.svg"):
        text = picture.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http" not in text
        assert "<script" not in text
