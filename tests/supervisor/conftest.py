"""A project with a board and agents for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Town


@pytest.fixture
def town(memory_path: Path) -> Iterator[Town]:
    town = Town(memory_path)
    yield town
    town.orc.close()
