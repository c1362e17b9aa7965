"""Both stores keep the contract."""

from pathlib import Path

import pytest

from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore

from .contract import MakeStore, StoreContract


class TestFileStore(StoreContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeStore:
        return lambda **options: FileStore(tmp_path, warn=_unexpected, **options)


class TestLightFileStore(StoreContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeStore:
        return lambda **options: FileStore(tmp_path, light=True, warn=_unexpected, **options)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> MakeStore:
        return MemoryStore


def _unexpected(sentence: str) -> None:
    raise AssertionError(sentence)
