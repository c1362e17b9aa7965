"""``orc.formulas``: the formulas that a board can use."""

from collections.abc import Mapping

import msgspec

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.transaction import Noun
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.workflows.compiled import Cooked
from orchestrator.formulas import export, library
from orchestrator.formulas.compile import cook
from orchestrator.formulas.library import Loaded, Source


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A formula as a listing shows it.

    Attributes:
        where: Where it was found: board, user, shipped.
        steps: How many steps it comes to with its defaults.
        variables: Their names.
        problem: Why it cannot be used.
    """

    name: str
    type: str = ""
    description: str = ""
    where: str
    path: str
    steps: int = 0
    variables: tuple[str, ...] = ()
    problem: str = ""


class Formulas(Noun[State]):
    """``orc.formulas``: all, names, load, cook, distill, save. Pour what is cooked with ``orc.workflows``."""

    def all(self) -> list[Listed]:
        """Every formula that can be used, by name: the board's, the user's, those of the toolkit."""
        return [self._listed(source) for source in library.sources(self._desk.folder)]

    def _listed(self, source: Source) -> Listed:
        try:
            loaded = self.load(source.name)
            cooked = cook(loaded, strict=False)
        except OrchestratorError as error:
            return Listed(
                name=source.name, where=source.where, path=source.path, problem=error.message
            )
        return Listed(
            name=source.name,
            type=cooked.type,
            description=cooked.description,
            where=source.where,
            path=source.path,
            steps=len(cooked.steps),
            variables=tuple(loaded.formula.variables),
        )

    def names(self) -> list[str]:
        """The names of all of them; no file is read."""
        return [source.name for source in library.sources(self._desk.folder)]

    def load(self, name: str) -> Loaded:
        """A formula with all that it is put together from.

        Raises:
            NotFound: There is none of this name.
            BadInput: Something is wrong with it; ``problems`` names every place.
        """
        return library.load(name, self._desk.folder)

    def cook(
        self,
        name: str,
        variables: Mapping[str, str] | None = None,
        *,
        preset: str | None = None,
        on: str | None = None,
        strict: bool = True,
    ) -> Cooked:
        """Cook a formula; see :func:`orchestrator.formulas.compile.cook`.

        Args:
            name: The formula.
            variables: Values by name.
            preset: Of a convoy formula: the choice of legs.
            on: The task that it will be poured on: an expansion that is cooked alone speaks of it.
            strict: Every variable that is asked for must have a value.

        Raises:
            NotFound: There is no such formula or task.
            BadInput: The formula or a value is wrong; ``problems`` names every place.
        """
        task = None if on is None else find_live(self._desk.read(), on)
        return cook(
            self.load(name),
            variables,
            preset=preset,
            strict=strict,
            title="" if task is None else task.title,
            description="" if task is None else task.description,
        )

    def distill(self, task: str, name: str, variables: Mapping[str, str] | None = None) -> str:
        """A formula made of a workflow; see :func:`orchestrator.formulas.export.distill`."""
        return export.distill(self._desk, task, name, variables)

    def save(self, name: str, text: str) -> str:
        """Write a formula into the board's folder; gives the path. Nothing is overwritten.

        Raises:
            Refused: The board has a formula of this name.
            UsageError: The board has no folder.
        """
        if self._desk.folder is None:
            raise UsageError("This board has no folder for formulas")
        return library.save(name, text, self._desk.folder)
