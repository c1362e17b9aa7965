"""The doctor: checks a board, and repairs it where no data can be lost.

It only reads, unless ``fix`` is given, and notes which old parts of the log it has read. Fixing takes the
lock, copies the files that it will change to ``state/backups/<time>/``, can be repeated, and is recorded in
the log. Problems that need a decision of a person (a damaged log, a log older than its snapshot) are repaired
only with a separate option.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from orchestrator import snapshot
from orchestrator.core import system
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import ArchiveMissing, Damage, OrchestratorError
from orchestrator.core.events import decode
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import Cursor, Problem
from orchestrator.domain.board.commands import Repairs, lapsed_tasks
from orchestrator.domain.board.settings import FILE, settings
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.knowledge.events import digest_of, document_path
from orchestrator.domain.state import State
from orchestrator.engine import Engine
from orchestrator.index.database import IndexFile
from orchestrator.index.named import problems_of_queries
from orchestrator.maintenance.log_reading import LogReading, equal
from orchestrator.maintenance.salvage import salvage


class Finding(msgspec.Struct, kw_only=True):
    """The result of a check; ``level`` is ok, warning or damage."""

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
    "Restore the log from a backup; or `doctor --salvage-log` writes the readable events to a new file,"
    " and `import FILE --board NEW` makes a board of it. Keep state.json until then."
)


_WITHOUT_LOG = ("checkpoints", "log", "formulas", "settings", "queries")


class _Doctor:
    """One examination of a board."""

    def __init__(
        self, engine: Engine, progress: ShowProgress, *, accept_log: bool, full: bool
    ) -> None:
        self.engine, self.accept_log, self.full = engine, accept_log, full
        self.reading = LogReading(engine, progress, full=full)
        self.store, self.upkeep = engine.store, engine.store.upkeep
        self.index_file = IndexFile(self.store, engine.folder, warn=engine.warn)
        self.findings: list[Finding] = []
        self.repairs: list[tuple[Finding, Callable[[], object]]] = []
        self.touched: list[str] = []
        self.is_whole = True

    @property
    def fold(self) -> State:
        """The fold of the log, as far as it could be read."""
        return self.reading.state

    @property
    def end(self) -> Cursor:
        """The end of the valid part of the log."""
        return self.reading.end

    def run_checks(self) -> None:
        """Run every check, also those of the store; a check without a problem is reported as ok."""
        checks = [self.log, self.snapshot, self.knowledge, self.leases, self.formulas]
        if self.engine.past_states.numbers():
            checks.insert(0, self.checkpoints)
        checks += [self.settings, self.queries]
        if self.index_file.exists:
            checks.append(self.index)
        names = [check.__name__ for check in checks]
        for check, name in zip(checks, names, strict=True):
            if self.is_whole or name in _WITHOUT_LOG:
                self._add(check())
            else:
                self._add(
                    [Problem(check=name, message="not checked: this check needs an undamaged log")]
                )
        if self.upkeep is not None:
            names += [name for name in self.upkeep.checks if name not in names]
            problems = self.upkeep.problems(self.end)
            self._add(p for p in problems if self.is_whole or p.check != "log")
        if "archive" in (reported := {finding.check for finding in self.findings}):
            names.append("archive")
        self.findings += [Finding(check=name) for name in names if name not in reported]
        self.findings.sort(key=lambda finding: names.index(finding.check))
        if self.upkeep is not None:
            self.findings += [Finding(check="system", message=limit) for limit in system.LIMITS]

    def _add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            hint = problem.hint or ("`doctor --fix` repairs it." if problem.repair else "")
            finding = Finding(
                check=problem.check, level=problem.level, message=problem.message, hint=hint
            )
            self.findings.append(finding)
            if problem.repair is not None:
                self.repairs.append((finding, problem.repair))
                self.touched += problem.touches

    # Checks

    def checkpoints(self) -> Iterator[Problem]:
        """Check the checkpoints, which the reading of the log may then use."""
        return self.reading.checkpoints()

    def log(self) -> Iterator[Problem]:
        """Check that every record of the log is a valid event that this version knows."""
        try:
            yield from self.reading.read()
        except ArchiveMissing as error:
            self.is_whole = False
            yield _problem("archive", error)
        except Damage as damage:
            self.is_whole = False
            if damage.code == "newer_version":
                yield _problem("log", damage)
            else:
                hint = damage.hint if damage.details.get("is_conflict") else _WAY_OUT
                yield Problem(check="log", level="damage", message=damage.message, hint=hint)

    def snapshot(self) -> Iterator[Problem]:
        """Check that the snapshot is whole and agrees with the log."""
        path = self.upkeep.snapshot if self.upkeep is not None else "The snapshot"
        file = self.store.open_snapshot()
        if file is None and (not self.end.id or self.upkeep is None):
            return  # a database loses its snapshots in a crash, and its replicas have none
        saved, why = None, "is missing"
        if file is not None:
            why = "is damaged, or was written by another program or version"
            try:
                files, cursor_type = self.store.cold, self.store.cursor_type
                restored, warn = self.engine.past_states.fold_to, self.engine.warn
                saved = snapshot.load(file, cursor_type, files, restored, warn)
            except ColdDamage as damage:
                why = f"cannot be used: {damage}"
        level, hint, message = "warning", "", ""
        if saved is None:
            message = f"{path} {why}"
        elif (number := saved.cursor.id) > self.end.id:
            level = "damage"
            message = f"The log ends at event {self.end.id}, but {path} goes up to {number}"
            hint = "Restore the newer log; `doctor --fix --accept-log` accepts the loss of the later events."
        elif other := self._other_log(saved.cursor):
            level, message = "damage", other.message
            hint = (
                "Restore the log that it belongs to; `doctor --fix --accept-log` accepts this one."
            )
        elif saved.tree is not None and (damages := "; ".join(map(str, saved.tree.damages()))):
            message = f"{path} cannot be used: {damages}"
        elif not self._agrees(saved.state, saved.cursor):
            message = f"{path} does not agree with the log at event {number}"
        if message:
            refold = partial(self.engine.refold, whole=self.full or level == "damage")
            repair = refold if level == "warning" or self.accept_log else None
            yield Problem(
                check="snapshot",
                level=level,
                message=message,
                hint=hint,
                repair=repair,
                touches=(path,),
            )

    def _other_log(self, cursor: Cursor) -> Damage | None:
        """The damage of a log that has another line at the end of the snapshot, as after `git pull`."""
        try:
            next(iter(self.store.read(cursor)), None)
        except Damage as damage:
            return damage
        return None

    def _agrees(self, state: State, cursor: Cursor) -> bool:
        is_end = cursor.id == self.end.id
        return equal(state, self.fold if is_end else self.reading.state_at(cursor.id))

    def knowledge(self) -> Iterator[Problem]:
        """Check that every topic has its file; repairing finishes an interrupted write."""
        documents = self.store.documents
        for name, topic in self.fold.knowledge.items():
            path = document_path(name)
            try:
                digest = digest_of(documents.read(path))
            except OrchestratorError as error:
                yield _problem("knowledge", error)
                continue
            old = (topic.digest,) if topic.deleted else ("", topic.previous)
            if digest in old and (topic.deleted or digest != topic.digest):
                file = documents.where(path)
                message = f"{file} does not agree with the log: its last write was interrupted"
                finish = partial(self._finish, path, None if topic.deleted else topic.versions[-1])
                yield Problem(check="knowledge", message=message, repair=finish, touches=(file,))

        try:
            for name, message, hint in Knowledge(self.engine).problems():
                file = documents.where(document_path(name))
                yield Problem(check="knowledge", message=f"{file}: {message}", hint=hint)
        except OrchestratorError as error:
            yield _problem("knowledge", error)

    def _finish(self, path: str, version: int | None) -> None:
        event = decode(self.engine.event(version)) if version is not None else None
        text = event.documents(self.fold)[path] if event is not None else None
        if text is None:
            self.store.documents.delete(path)
        else:
            self.store.documents.write(path, text.encode())

    def leases(self) -> Iterator[Problem]:
        """Report claims whose lease has ended; locks just end, and the next agent takes any of them."""
        now = self.engine.now()
        lapsed = [task.id for task in lapsed_tasks(self.fold, now)]
        lapsed += [f"submission {s.number}" for s in self.fold.merges.lapsed(now)]
        if lapsed:
            message = f"Leases have ended: {', '.join(lapsed[:10])}"
            yield Problem(check="leases", message=message, repair=lambda: None)

    def index(self) -> Iterator[Problem]:
        """Check that the index can be used; the next question would build it anew too."""
        try:
            status = self.index_file.status()
        except ArchiveMissing as error:  # it cannot be compared with the log
            yield _problem("index", error)
            return
        if status.problem:
            message = f"{status.path} is of no use: {status.problem}"
            yield Problem(check="index", message=message, repair=self.index_file.build)

    def formulas(self) -> Iterator[Problem]:
        """Check that every formula of the board can be compiled."""
        from orchestrator.formulas import compile_formula, library, load

        board = self.store.documents
        try:
            names = library.own(board)
        except OrchestratorError as error:
            yield _problem("formulas", error)
            return
        for name in names:
            try:
                compile_formula(load(name, board), strict=False)
            except OrchestratorError as error:
                hint = f"Correct it; `formula validate {name}` names every place."
                yield _problem("formulas", error, hint)

    def settings(self) -> Iterator[Problem]:
        """Check ``config.toml``, and that its saved questions can be read as words."""
        try:
            saved = settings(self.store.documents.read(FILE)).saved
        except OrchestratorError as error:
            yield _problem("settings", error)
            return
        for name, question in saved.items():
            try:
                shlex.split(question.question)
            except ValueError as error:
                message = f"{FILE}: the saved question {name!a} cannot be read: {error}"
                hint = f"Correct it, or `saved remove {name}`."
                yield Problem(check="settings", message=message, hint=hint)

    def queries(self) -> Iterator[Problem]:
        """Check that every named query of the board can be asked."""
        hint = "Correct it, or remove the file; `query --schema` shows tables and columns."
        try:
            for file, message in problems_of_queries(self.store.documents):
                yield Problem(check="queries", message=f"{file}: {message}", hint=hint)
        except OrchestratorError as error:
            yield _problem("queries", error)

    # Repairing

    def fix(self) -> str | None:
        """Make every repair; return the folder of the copies."""
        if not self.repairs:
            return None
        folder = None
        if self.upkeep is not None:
            folder = self.upkeep.back_up(self.touched, self.engine.now())
        # Repairs that a person decided on come last.
        repairs = sorted(self.repairs, key=lambda entry: entry[0].level == "damage")
        for finding, repair in repairs:
            try:
                repair()
                finding.fixed = True
            except (OrchestratorError, OSError) as error:
                finding.message += f". It could not be repaired: {error}"
                finding.hint = getattr(error, "hint", "")
        names = tuple(dict.fromkeys(f.check for f, _ in repairs if f.fixed))
        damaged = any(f.level == "damage" and not f.fixed for f in self.findings)
        if names and self.is_whole and not damaged:
            Repairs(self.engine).record(names, lapses="leases" in names)
        return folder


def _problem(check: str, error: OrchestratorError, hint: str = "") -> Problem:
    return Problem(check=check, message=error.message, hint=hint or error.hint)


def examine(
    engine: Engine,
    *,
    fix: bool = False,
    accept_log: bool = False,
    salvage_log: bool = False,
    full: bool = False,
    progress: ShowProgress = no_progress,
) -> Examination:
    """Check a board, and repair it if asked.

    Args:
        engine: The open board.
        fix: Repair what can be repaired without a person's decision.
        accept_log: With ``fix``, also accept the loss of events that are only in the snapshot.
        salvage_log: Write the readable events of a damaged log to a new file for ``import``.
        full: Read every event of the log. Otherwise only the checksums of the lines before the last
            checkpoint are checked, and only those of parts that have changed since an earlier check; the
            state of the checkpoint is trusted.
        progress: Shows the progress of reading the log.
    """
    doctor = _Doctor(engine, progress, accept_log=accept_log, full=full)
    doctor.run_checks()
    salvaged = None
    damaged = any(f.check == "log" and f.level == "damage" for f in doctor.findings)
    if salvage_log and damaged and doctor.upkeep is not None:
        salvaged = salvage(doctor.upkeep, engine.now())
    backup = doctor.fix() if fix else None
    levels = {finding.level for finding in doctor.findings if not finding.fixed}
    status = 4 if "damage" in levels else 1 if "warning" in levels else 0
    return Examination(status=status, findings=doctor.findings, backup=backup, salvaged=salvaged)
