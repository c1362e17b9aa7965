"""Runs the contract with every store."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.postgres import PostgresStore
from tests.postgres_server import Server

from .building import with_filelock
from .contract import MakeStore, StoreContract


class TestFileStore(StoreContract):
    options: dict[str, Any] = {}

    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeStore:
        numbers = count()

        def new() -> FileStore:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            return self.store_of(folder)

        return new

    def store_of(self, folder: Path) -> FileStore:
        return FileStore(folder, warn=_unexpected, **self.options)


class TestFileStoreWithFilelock(TestFileStore):
    def store_of(self, folder: Path) -> FileStore:
        return with_filelock(super().store_of(folder))


class TestFileStoreOfManySegments(TestFileStore):
    options = {"segment_size": 250}


class TestFileStoreOfASegmentACommit(TestFileStore):
    options = {"segment_size": 1}


class TestPostgresStore(StoreContract):
    options: dict[str, Any] = {}

    @pytest.fixture
    def make(self, postgres: Server) -> MakeStore:
        return lambda: PostgresStore(postgres.new_board(), **self.options)


class TestPostgresStoreOfManyParts(TestPostgresStore):
    options = {"part_size": 250}


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> MakeStore:
        return MemoryStore


def _unexpected(sentence: str) -> None:
    raise AssertionError(sentence)
