"""Merge two values of a field that are no plain texts or numbers: sets and maps."""

from typing import Any


def both_changed(here: Any, there: Any) -> bool:
    """Whether both values can be merged, because each is a set of entries."""
    return all(isinstance(value, tuple) for value in (here, there)) or all(
        isinstance(value, dict) for value in (here, there)
    )


def clashing(here: Any, there: Any, before: Any) -> bool:
    """Whether both boards gave one entry of a map different values."""
    if not isinstance(here, dict):
        return False
    before = before if isinstance(before, dict) else {}
    changed = {key for key in here.keys() & there.keys() if here[key] != there[key]}
    return any(before.get(key) not in (here[key], there[key]) for key in changed)


def merged_value(here: Any, there: Any, before: Any) -> Any:
    """The value with the entries that each board added, and without those that one of them removed.

    Of two different values of an entry that of ``there`` counts.
    """
    if isinstance(here, dict):
        before = before if isinstance(before, dict) else {}
        removed = {key for key in before if key not in here or key not in there}
        both = here | {key: value for key, value in there.items() if before.get(key) != value}
        return {key: value for key, value in both.items() if key not in removed}
    before = before or ()
    removed_entries = [entry for entry in before if entry not in here or entry not in there]
    added = (entry for entry in there if entry not in here and entry not in before)
    return tuple(entry for entry in (*here, *added) if entry not in removed_entries)
