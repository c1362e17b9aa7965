"""The doctor: looks a board over, and repairs what can be repaired without losing anything.

It only reads unless it is told to fix. Fixing takes the lock, copies what it will change to
``state/backups/<time>/``, can be repeated, and is recorded in the log. What needs a person's decision (a
damaged log, a log behind its snapshot) is repaired only with an option of its own.
"""

from collections.abc import Callable

import msgspec

from orchestrator import snapshot
from orchestrator.core import system
from orchestrator.core.errors import Damage, OrchestratorError
from orchestrator.core.events import decode
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import START, Cursor, Problem
from orchestrator.domain.board.commands import Repairs, ended_holds
from orchestrator.domain.knowledge.events import digest_of, document_path
from orchestrator.domain.state import State
from orchestrator.engine import Engine
from orchestrator.maintenance.salvage import salvage


class Finding(msgspec.Struct, kw_only=True):
    """What one check found; ``level`` is ok, warning or damage."""

    check: str
    level: str = "ok"
    message: str = ""
    hint: str = ""
    fixed: bool = False


class Examination(msgspec.Struct, kw_only=True):
    """All findings; ``status`` is 0 (clean or repaired), 1 (warnings) or 4 (damage)."""

    status: int
    findings: list[Finding]
    backup: str | None = None
    salvaged: str | None = None


_WAY_OUT = (
    "Restore the log from a backup; or `doctor --salvage-log` writes what can still be read to a new file,"
    " and `import FILE --board NEW` makes a board of it. Keep state.json until then."
)

Repair = Callable[[], object]


class _Doctor:
    """One examination of a board."""

    def __init__(self, engine: Engine, progress: ShowProgress) -> None:
        self.engine = engine
        self.progress = progress
        self.store = engine.store
        self.upkeep = engine.store.upkeep
        self.findings: list[Finding] = []
        self.repairs: list[tuple[Finding, Repair, tuple[str, ...]]] = []
        self.fold = State()
        self.end: Cursor = START
        self.is_whole = True

    def add(
        self,
        check: str,
        level: str,
        message: str,
        *,
        hint: str = "",
        repair: Repair | None = None,
        touches: tuple[str, ...] = (),
    ) -> None:
        """Add a finding, and how it is repaired: ``touches`` names the files that this changes."""
        finding = Finding(check=check, level=level, message=message, hint=hint)
        self.findings.append(finding)
        if repair is not None:
            finding.hint = hint or "`doctor --fix` repairs it."
            self.repairs.append((finding, repair, touches))

    def look(self) -> None:
        """Run every check, the store's own too; those that find nothing are noted as ok."""
        checks = ["log", "snapshot", "knowledge", "leases", "formulas"]
        self.log()
        for check in (self.snapshot, self.knowledge, self.leases):
            if self.is_whole:
                check()
            else:
                message = "not checked: that takes a whole log"
                self.add(check.__name__, "warning", message)
        self.formulas()
        if self.upkeep is not None:
            checks += [name for name in self.upkeep.checks if name not in checks]
            for problem in self.upkeep.problems(self.end):
                if self.is_whole or problem.check != "log":
                    self._add_problem(problem)
        unsound = {finding.check for finding in self.findings}
        self.findings += [Finding(check=name) for name in checks if name not in unsound]
        self.findings.sort(key=lambda finding: checks.index(finding.check))
        for limit in system.LIMITS if self.upkeep is not None else ():
            self.add("system", "ok", limit)

    def _add_problem(self, problem: Problem) -> None:
        self.add(
            problem.check,
            "warning",
            problem.message,
            hint=problem.hint,
            repair=problem.repair,
            touches=problem.touches,
        )

    # Checks

    def log(self) -> None:
        """Every record, verified from the first one on, is an event that this version knows."""
        try:
            for chunk in self.progress(self.store.read(START), "Reading the log"):
                self.fold.fold(chunk.events)
                self.end = chunk.end
        except Damage as damage:
            self.is_whole = False
            if damage.code == "newer_version":
                self.add("log", "warning", damage.message, hint=damage.hint)
            else:
                self.add("log", "damage", damage.message, hint=_WAY_OUT)

    def snapshot(self) -> None:
        """The snapshot is whole, and agrees with the log."""
        path = self.upkeep.snapshot if self.upkeep is not None else "The snapshot"
        data = self.store.load_snapshot()
        if data is None and not self.end.id:
            return
        saved = snapshot.decode(data, self.store.cursor_type) if data is not None else None
        if saved is None:
            why = "is missing" if data is None else "was changed by something else"
            self._stale(path, f"{path} {why}")
            return
        state, cursor = saved
        if cursor.id > self.end.id:
            self.add(
                "snapshot",
                "damage",
                f"The log ends at event {self.end.id}, but {path} goes up to {cursor.id}",
                hint="Restore the newer log; `doctor --fix --accept-log` gives up what it lacks.",
            )
        elif not self._agrees(state, cursor):
            self._stale(path, f"{path} does not say what the log says at event {cursor.id}")

    def _stale(self, path: str, message: str) -> None:
        self.add("snapshot", "warning", message, repair=self._rewrite_snapshot, touches=(path,))

    def _rewrite_snapshot(self) -> None:
        self.store.save_snapshot(b"")
        self.engine.forget()
        self.engine.save()

    def _agrees(self, state: State, cursor: Cursor) -> bool:
        then = self.fold if cursor.id == self.end.id else self.engine.at(cursor.id)
        return msgspec.json.encode(state) == msgspec.json.encode(then)

    def knowledge(self) -> None:
        """Every topic has its file; an interrupted write is finished, an edit by hand is reported."""
        for name, topic in self.fold.knowledge.items():
            path = document_path(name)
            try:
                digest = digest_of(self.store.documents.read(path))
            except OrchestratorError as error:
                self.add("knowledge", "warning", error.message, hint=error.hint)
                continue
            if topic.deleted:
                if digest == topic.digest:
                    self._unfinished(path, None)
            elif digest != topic.digest and digest in ("", topic.previous):
                self._unfinished(path, topic.versions[-1])

    def _unfinished(self, path: str, version: int | None) -> None:
        def finish() -> None:
            event = decode(self.engine.event(version)) if version is not None else None
            text = event.documents(self.fold)[path] if event is not None else None
            if text is None:
                self.store.documents.delete(path)
            else:
                self.store.documents.write(path, text.encode())

        file = self.store.documents.where(path)
        message = f"{file} is not what the log says: its last write was interrupted"
        self.add("knowledge", "warning", message, repair=finish, touches=(file,))

    def leases(self) -> None:
        """Claims and locks whose time is over; the next claim takes them anyway."""
        now = self.engine.now()
        lapsed = [task.id for task in self.fold.schedule.running() if task.has_lapsed(now)]
        ended = [resource for resource, _ in ended_holds(self.fold, now)]
        if lapsed or ended:
            message = f"Leases have ended: {', '.join([*lapsed, *ended][:10])}"
            self.add("leases", "warning", message, repair=lambda: None)

    def formulas(self) -> None:
        """Every formula of the board can be cooked."""
        from orchestrator.formulas import compile_formula, library, load

        board = self.store.documents
        try:
            names = library.own(board)
        except OrchestratorError as error:
            self.add("formulas", "warning", error.message, hint=error.hint)
            return
        for name in names:
            try:
                compile_formula(load(name, board), strict=False)
            except OrchestratorError as error:
                hint = f"Mend it; `formula validate {name}` names every place."
                self.add("formulas", "warning", error.message, hint=hint)

    # Repairing

    def fix(self) -> str | None:
        """Make every repair that was found; returns the folder of the copies."""
        if not self.repairs:
            return None
        folder = None
        if self.upkeep is not None:
            paths = [path for _, _, touches in self.repairs for path in touches]
            folder = self.upkeep.back_up(paths, self.engine.now())
        for finding, repair, _ in self.repairs:
            try:
                repair()
                finding.fixed = True
            except (OrchestratorError, OSError) as error:
                finding.message += f". It could not be repaired: {error}"
        names = tuple(dict.fromkeys(f.check for f, _, _ in self.repairs if f.fixed))
        damaged = any(f.level == "damage" and not f.fixed for f in self.findings)
        if names and self.is_whole and not damaged:
            Repairs(self.engine).record(names, lapses="leases" in names)
        return folder

    def accept_log(self) -> None:
        """The log counts, although the snapshot had gone further: a person decided so."""
        path = self.upkeep.snapshot if self.upkeep is not None else ""
        for finding in self.findings:
            if finding.check == "snapshot" and finding.level == "damage":
                self.repairs.append((finding, self._rewrite_snapshot, (path,)))


def examine(
    engine: Engine,
    *,
    fix: bool = False,
    accept_log: bool = False,
    salvage_log: bool = False,
    progress: ShowProgress = no_progress,
) -> Examination:
    """Look a board over.

    Args:
        engine: The open board.
        fix: Repair what can be repaired without a person's decision.
        accept_log: Also give up what a snapshot knows and the log does not (with ``fix``).
        salvage_log: Write what can be read of a damaged log to a new file, ready for ``import``.
        progress: Shows how far the log is read.
    """
    doctor = _Doctor(engine, progress)
    doctor.look()
    if accept_log:
        doctor.accept_log()
    salvaged = None
    damaged = any(f.check == "log" and f.level == "damage" for f in doctor.findings)
    if salvage_log and damaged and doctor.upkeep is not None:
        salvaged = salvage(doctor.upkeep, engine.now())
    backup = doctor.fix() if fix else None
    levels = {finding.level for finding in doctor.findings if not finding.fixed}
    status = 4 if "damage" in levels else 1 if "warning" in levels else 0
    return Examination(status=status, findings=doctor.findings, backup=backup, salvaged=salvaged)
