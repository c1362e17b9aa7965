"""``orc.formulas``: the formulas that a board can use."""

from collections.abc import Mapping

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.transaction import Noun
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.workflows.compiled import CompiledFormula
from orchestrator.formulas import export, library, loading
from orchestrator.formulas.compile import compile_formula
from orchestrator.formulas.library import Source
from orchestrator.formulas.loading import Loaded


class FormulaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A formula in a list.

    Attributes:
        where: Where its file is: board, user, shipped.
        steps: The number of its steps with its defaults.
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
    """``orc.formulas``: all, names, load, cook, distill, save. ``orc.workflows`` pours what is cooked."""

    def all(self) -> list[FormulaSummary]:
        """Return every formula by name: the board's, the user's, those shipped with the toolkit."""
        return [self._summary(source) for source in library.sources(self._desk.documents)]

    def _summary(self, source: Source) -> FormulaSummary:
        summary = FormulaSummary(name=source.name, where=source.where, path=source.path)
        try:
            loaded = self.load(source.name)
            compiled = compile_formula(loaded, strict=False)
        except OrchestratorError as error:
            return msgspec.structs.replace(summary, problem=error.message)
        return msgspec.structs.replace(
            summary,
            type=compiled.type,
            description=compiled.description,
            steps=len(compiled.steps),
            variables=tuple(loaded.formula.variables),
        )

    def names(self) -> list[str]:
        """Return the names of all formulas; no file is read."""
        return [source.name for source in library.sources(self._desk.documents)]

    def load(self, name: str) -> Loaded:
        """Return a formula with the formulas that it is composed of.

        Raises:
            NotFound: There is none of this name.
            BadInput: It has problems; ``problems`` lists every place.
        """
        return loading.load(name, self._desk.documents)

    def cook(
        self,
        name: str,
        variables: Mapping[str, str] | None = None,
        *,
        preset: str | None = None,
        on: str | None = None,
        strict: bool = True,
    ) -> CompiledFormula:
        """Compile a formula; see :func:`orchestrator.formulas.compile.compile_formula`.

        Args:
            name: The formula.
            variables: Values by name.
            preset: Of a convoy formula: the selection of legs.
            on: The task that it will be poured on; the texts of an expansion refer to it.
            strict: Every variable that is used must have a value.

        Raises:
            NotFound: There is no such formula or task.
            BadInput: The formula or a value is not allowed; ``problems`` lists every place.
        """
        task = None if on is None else find_live(self._desk.read(), on)
        return compile_formula(
            self.load(name),
            variables,
            preset=preset,
            strict=strict,
            title="" if task is None else task.title,
            description="" if task is None else task.description,
            progress=self._desk.show_progress,
        )

    def distill(self, task: str, name: str, variables: Mapping[str, str] | None = None) -> str:
        """Return a formula made of a workflow; see :func:`orchestrator.formulas.export.distill`."""
        return export.distill(self._desk, task, name, variables)

    def save(self, name: str, text: str) -> str:
        """Write a formula into the board's folder, and return its path. Nothing is overwritten.

        Raises:
            Refused: The board has a formula of this name.
        """
        return library.save(name, text, self._desk.documents)
