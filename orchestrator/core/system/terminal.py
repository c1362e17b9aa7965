"""Programs that the user works with at the terminal, such as an editor; the same on every system."""

from collections.abc import Sequence


def run_at_terminal(words: Sequence[str]) -> int:
    """Run a program that has the terminal, and return its exit status; no shell reads the words.

    Raises:
        OSError: It cannot be started.
    """
    import subprocess

    return subprocess.run(words, check=False).returncode  # noqa: S603 -- the user's own program
