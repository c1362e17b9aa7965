"""The ids of tasks: random digits, in some workstreams behind a prefix, as in ``be-1a2b``."""

DIGITS = "0123456789abcdef"

USUAL, SHORTEST = 8, 4
"""The number of digits of an id without a prefix, and the fewest behind a prefix: more are used if an id of
that length is taken.
"""


def prefix_of(task_id: str) -> str:
    """Return the prefix of an id; empty if the id has none, or if it is the id of a child or a step."""
    prefix, _, digits = task_id.rpartition("-")
    if "." in task_id or not SHORTEST <= len(digits) <= USUAL:
        return ""
    return prefix if {*digits} <= {*DIGITS} else ""


def begins(task_id: str, head: str) -> bool:
    """Whether an id, or its digits behind its prefix, begins with a text."""
    prefix = prefix_of(task_id)
    if not prefix:
        return task_id.startswith(head)
    has_digits = len(head) >= len(prefix) + 4
    return task_id.startswith(f"{prefix}-{head}") or (has_digits and task_id.startswith(head))
