"""``orc.saved``: questions that were saved under a name, in ``config.toml``.

That file belongs to people: what they wrote, comments too, stays as it is. It is no part of the log.
"""

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.core import names
from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import Refused, UsageError, missing
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.board.settings import FILE, SavedQuestion, settings
from orchestrator.domain.state import State
from orchestrator.domain.validation import check_line


def _no_events(_state: State, _events: Committed) -> SavedQuestion:
    raise AssertionError("these commands record no event")


class Saved(Noun[State]):
    """``orc.saved``: save, list and remove questions."""

    @command(_no_events, answers_request=False)
    def add(
        self, tx: Transaction[State], name: str, words: Iterable[str], *, prime: bool = False
    ) -> SavedQuestion:
        """Save a question; if it was saved so before, nothing changes.

        Args:
            name: What it is called.
            words: The command line that asks it, without the program: ``["ls", "--mine"]``.
            prime: List it in `prime`.

        Raises:
            Refused: Another question has this name.
        """
        names.name("saved question", name)
        question = SavedQuestion(check_line("question", shlex.join(words)), prime)
        if not question.question:
            raise UsageError(
                "The question is missing", hint="`saved add NAME -- ls --mine` saves one."
            )
        before = settings(tx.read_document(FILE)).saved
        if before.get(name, question) != question:
            raise Refused(
                f"There is a saved question {name} already: {before[name].question}",
                code="question_exists",
                hint=f"`saved remove {name}` removes it.",
            )
        if name not in before:
            facts = {"question": question.question} | ({"prime": True} if prime else {})
            self._change(tx, lambda saved: saved.add(name, facts))
        return question

    @command(_no_events, answers_request=False)
    def remove(self, tx: Transaction[State], name: str) -> SavedQuestion:
        """Remove a saved question.

        Raises:
            NotFound: There is none of this name.
        """
        question = _find(settings(tx.read_document(FILE)).saved, name)
        self._change(tx, lambda saved: saved.remove(name))
        return question

    def get(self, name: str) -> SavedQuestion:
        """The saved question of a name.

        Raises:
            NotFound: There is none.
        """
        return _find(self.all(), name)

    def all(self) -> dict[str, SavedQuestion]:
        """The saved questions by name."""
        return settings(self._desk.documents.read(FILE)).saved

    def _change(self, tx: Transaction[State], change: Callable[[Any], object]) -> None:
        """Change the table of saved questions in the file, and nothing else."""
        import tomlkit

        data = tx.read_document(FILE) or b""
        document = tomlkit.parse(decode_text(data, FILE))
        if "saved" not in document:
            document["saved"] = tomlkit.table(is_super_table=True)
        table: Any = document["saved"]
        change(table)
        if not table:
            document.remove("saved")
        self._desk.documents.write(FILE, tomlkit.dumps(document).encode())


def _find(saved: dict[str, SavedQuestion], name: str) -> SavedQuestion:
    if name not in saved:
        hint = "`saved list` shows them."
        raise missing("saved question", name, saved, code="question_not_found", hint=hint)
    return saved[name]
