"""The state of a board in memory: loaded from its snapshot, folded on to the end of the log, saved again."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from orchestrator import snapshot
from orchestrator.checkpoints import COLD_AT_ONCE, StatesOfThePast
from orchestrator.cold.tree import ColdTree
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import Damage
from orchestrator.core.store import START, Chunk, Cursor, Store, StoredFile
from orchestrator.domain.state import State
from orchestrator.snapshot_schedule import SnapshotSchedule


class CurrentState:
    """The state of a board as far as this process has read the log, and the files that keep it.

    Args:
        store: The store of the board.
        read_log: Reads the log after a position.
        light: The process ends after one command; see :class:`SnapshotSchedule`.
        machine: The name of this machine, if machines share the board; else empty.
        warn: Receives a sentence that a person should know.

    Attributes:
        machine: That name.
        state: The state; None if it is not loaded.
        position: The end of the log as far as it was read.
        schedule: When the snapshot is due.
        past: The states of the past that the store keeps.
    """

    def __init__(
        self,
        store: Store,
        read_log: Callable[[Cursor], Iterable[Chunk]],
        *,
        light: bool,
        machine: str,
        warn: Callable[[str], None],
    ) -> None:
        self._store = store
        self._read_log = read_log
        self.machine = machine
        self._warn = warn
        self.state: State | None = None
        self.position: Cursor = START
        self._was_at: Cursor = START
        self._cold: ColdTree | None = None
        self.schedule = SnapshotSchedule(store, light=light)
        self.past = StatesOfThePast(store)

    # Reading

    def catch_up(self, *, keeps_checkpoints: bool = False) -> tuple[State, Damage | None]:
        """The state as far as the log can be read, and the damage that stops the reading.

        Args:
            keeps_checkpoints: Save the state as a checkpoint where one is due.
        """
        known = self.state is not None or self._was_at.id > 0
        state = self.state if self.state is not None else self._load()
        state.machine = self.machine
        try:
            self._check_forgotten()
            for chunk in self._read_log(self.position):
                state.fold(chunk.events)
                before, self.position = self.position, chunk.end
                self.schedule.grow(chunk.events)
                if keeps_checkpoints:
                    self.keep_checkpoint(before)
        except Damage as damage:
            if damage.code in ("newer_version", "misfit"):
                self.forget()  # part of a chunk was folded, so the position is not that of the state
            if damage.code == "log_behind" and known and not self._log_is_gone():
                # A commit that this process has read may have been undone: fold again, then decide.
                self.forget()
                self._was_at = START
                found = self.catch_up(keeps_checkpoints=keeps_checkpoints)
                if found[1] is None:
                    self._warn(
                        f"{damage.message}, so results from these events are not valid. {damage.hint}"
                    )
                return found
            return state, damage
        except BaseException:
            self.forget()
            raise
        return state, None

    def at(self, number: int) -> State:
        """The state right after an event, folded from the snapshot or from a checkpoint, whichever is nearer.

        Unlike a checkpoint, a snapshot is small, because it does not have the records of ended work.

        Raises:
            NotFound: The log has no such event.
        """
        nearest = max((kept for kept in self.past.numbers() if kept <= number), default=0)
        with suppress(Damage, ColdDamage):
            saved = self._read_snapshot(self._store.open_snapshot())
            is_nearer = saved is not None and nearest <= saved.cursor.id <= number
            if saved is not None and is_nearer and self.past.is_in_log(saved.cursor):
                return self.past.fold_on(saved.state, saved.cursor, number)
        return self.past.fold_to(number)

    def forget(self) -> None:
        """Forget the state, but not how far the log was read; the next use loads the state again."""
        if self.position.id > self._was_at.id:
            self._was_at = self.position
        self.state = self._cold = None
        self.position = START

    def _check_forgotten(self) -> None:
        """Check that the log still has what this process had read when it forgot the state.

        Raises:
            Damage: It does not.
        """
        if self._was_at.id > self.position.id:
            try:
                next(self._store.read(self._was_at), None)
            except Damage as damage:
                if damage.code == "log_behind":  # other damage is found where the state ends
                    raise
        self._was_at = START

    def _log_is_gone(self) -> bool:
        """Whether there is no event, as on a new board: a first commit is never undone."""
        try:
            return next(iter(self._store.read(START)), None) is None
        except Damage:
            return False

    def _load(self) -> State:
        try:
            try:
                self._open_snapshot()
            except ColdDamage:  # another process may have removed cold files between two reads
                self._open_snapshot()
        except ColdDamage as damage:
            self._warn(snapshot.sentence_of(damage))
        return self.state if self.state is not None else self._begin_fold()

    def _open_snapshot(self) -> None:
        """Take the state of the snapshot, if there is one that can be used."""
        file = self._store.open_snapshot()
        saved = self._read_snapshot(file)
        if file is not None and saved is not None:
            self.state, self.position, self._cold = saved.state, saved.cursor, saved.tree
            self.schedule.saved(file.size, saved.state.event)

    def _read_snapshot(self, file: StoredFile | None) -> snapshot.LoadedSnapshot | None:
        if file is None:
            return None
        files, restored = self._store.cold, self.past.fold_to
        return snapshot.load(file, self._store.cursor_type, files, restored, self._warn)

    def _begin_fold(self) -> State:
        """Begin with the newest state of the past, or with an empty one before the first event."""
        self.state, self.position = self.past.newest()
        self._cold = None
        self.schedule.saved(0, self.state.event)
        return self.state

    # Saving

    def save(self) -> None:
        """Write the snapshot, and the cold files if many records became past."""
        old = self._cold
        if old is not None and not old.are_there():
            self.forget()  # another process has merged the files
            self._refresh()
        try:
            saving = self._prepare()
        except ColdDamage as damage:
            if damage.args:  # else a command has found it before, and said so
                self._warn(snapshot.sentence_of(damage))
            self._begin_fold()
            self._refresh()
            saving = self._prepare()
        self._store.save_snapshot(saving.data)
        self.schedule.saved(len(saving.data), self.position.id)
        if self._store.cold is not None and (old is not None or saving.part is not None):
            snapshot.clean(self._store.cold, saving.part)
        if saving.moved:
            self._load()  # the loaded state takes less memory

    def refold(self, *, whole: bool) -> None:
        """Fold the log again and write the snapshot; the old snapshot is not read.

        Args:
            whole: Fold it from its first event, and make all checkpoints again.
        """
        if whole:
            self.past.remove_all()
        self._begin_fold()
        self._refresh()
        self.save()

    def keep_checkpoint(self, before: Cursor) -> None:
        """Save the state as a checkpoint, if one is due after a position and takes little time."""
        # The state is unknown if the snapshot could not be saved.
        if self.state is not None and (self._cold is None or self._cold.size <= COLD_AT_ONCE):
            self.past.keep(self.state, before, self.position)

    def _refresh(self) -> None:
        _, damage = self.catch_up(keeps_checkpoints=True)
        if damage is not None:
            raise damage

    def _prepare(self) -> snapshot.Saving:
        assert self.state is not None
        return snapshot.prepare(self.state, self.position, self._cold, self._store.cold)
