"""The store of a board on disk: plain files under one lock."""

from orchestrator.stores.files.store import SEGMENT_SIZE, FileStore

__all__ = ["SEGMENT_SIZE", "FileStore"]
