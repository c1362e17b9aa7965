"""Whether a program is likely to be the only writer of a board, so that it can leave out the lock."""

ALONE = 8
"""How many times in a row a program must get the lock without new commits of other programs before it runs a
command without the lock. Each wrong guess doubles this number, because the command then folds the log again.
The same number of right guesses in a row halves it.
"""


class SoleWriter:
    """Counts the locks and guesses of a program, to guess whether other programs write."""

    def __init__(self) -> None:
        self._alone_for = 0
        self._wrong = 0
        self._right = 0

    @property
    def is_likely(self) -> bool:
        """Whether the next command can run without the lock: other programs probably do not write."""
        return self._alone_for >= self._needed

    @property
    def _needed(self) -> int:
        return ALONE << self._wrong

    def note_lock(self, *, is_alone: bool) -> None:
        """Note whether the lock brought no commit of another program."""
        self._alone_for = self._alone_for + 1 if is_alone else 0

    def note_wrong(self) -> None:
        """Note that another program wrote, or may have written, while this one had left out the lock."""
        self._wrong, self._right, self._alone_for = self._wrong + 1, 0, 0

    def note_right(self) -> None:
        """Note that no other program wrote."""
        self._right += 1
        if self._wrong and self._right >= self._needed:
            self._wrong, self._right = self._wrong - 1, 0
