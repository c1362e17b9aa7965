"""The store of a board on disk: plain files under one lock."""

from orchestrator.stores.files.store import FileStore

__all__ = ["FileStore"]
