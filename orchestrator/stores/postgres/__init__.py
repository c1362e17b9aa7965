"""The store of a board in a PostgreSQL database, for agents on many machines."""

from orchestrator.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
