"""What every store must do. A test module inherits :class:`StoreContract` and gives its store."""

import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.core.errors import Damage, NotFound, TimedOut
from orchestrator.core.events import START, Position
from orchestrator.core.store import Store

from .building import WAIT, add, commit, end_of, fill, text, texts_of

MakeStore = Callable[..., Store]


class StoreContract:
    """Give a fixture ``make``: called again it opens the same board as a second store, if there can
    be one; ``segment_size`` is its argument."""

    @pytest.fixture
    def store(self, make: MakeStore) -> Store:
        return make()

    # The log, forward.

    def test_a_new_board_has_no_events(self, store: Store) -> None:
        assert list(store.read(START)) == []
        assert list(store.read_backwards()) == []

    def test_what_is_appended_is_read_in_order(self, store: Store) -> None:
        fill(store, ["a"], ["b", "c"], ["d"])
        assert texts_of(store) == ["a", "b", "c", "d"]

    def test_append_tells_where_the_lines_begin(self, store: Store) -> None:
        with store.locked("test", WAIT):
            first, where = commit(START, ["a"])
            assert store.append(first, START) == (1, 0)
            after = Position(1, 0, where.end, 1, where.crc)
            second, _ = commit(after, ["b"])
            assert store.append(second, after) == (1, len(first))

    def test_reading_goes_on_behind_a_position(self, store: Store) -> None:
        first, second, _ = fill(store, ["a"], ["b", "c"], ["d"])
        assert texts_of(store, first) == ["b", "c", "d"]
        assert texts_of(store, second) == ["d"]
        assert list(store.read(end_of(store))) == []

    def test_the_end_of_a_chunk_is_the_position_of_its_last_line(self, store: Store) -> None:
        positions = fill(store, ["a"], ["b", "c"])
        (chunk,) = store.read(START)
        assert chunk.end == positions[-1]
        assert (chunk.problem, chunk.torn) == ("", False)

    def test_a_line_of_many_chunks_is_read(self, store: Store) -> None:
        long = "x" * (10 << 20)
        fill(store, ["a"], [long, "b"], ["c"])
        assert texts_of(store) == ["a", long, "b", "c"]
        assert [len(text(record)) for record in store.read_backwards()] == [1, 1, len(long), 1]
        assert text(store.event(2)) == long

    def test_a_position_that_is_not_in_the_log_is_damage(self, store: Store) -> None:
        _, last = fill(store, ["a"], ["b"])
        _, beyond = commit(last, ["c"])
        with pytest.raises(Damage, match="the log is shorter") as raised:
            list(store.read(beyond))
        assert raised.value.code == "log_behind"

    def test_a_position_where_another_line_stands_is_damage(self, store: Store) -> None:
        _, last = fill(store, ["a"], ["b"])
        other = Position(last.segment, last.offset, last.end, last.id, last.crc ^ 1)
        with pytest.raises(Damage, match="another line stands there") as raised:
            list(store.read(other))
        assert raised.value.code == "log_behind"

    def test_a_position_in_a_segment_that_never_was_is_damage(self, store: Store) -> None:
        fill(store, ["a"])
        with pytest.raises(Damage) as raised:
            list(store.read(Position(7, 0, 80, 7, 1)))
        assert raised.value.code == "log_behind"

    def test_a_position_on_a_board_without_events_is_damage(self, store: Store) -> None:
        with pytest.raises(Damage) as raised:
            list(store.read(Position(1, 0, 80, 1, 1)))
        assert raised.value.code == "log_behind"

    def test_nothing_is_appended_behind_a_position_that_is_not_the_end(self, store: Store) -> None:
        first, _ = fill(store, ["a"], ["b"])
        for after in (START, first):
            with store.locked("test", WAIT), pytest.raises(Damage) as raised:
                add(store, after, "c")
            assert raised.value.code == "log_changed"
        assert texts_of(store) == ["a", "b"]

    def test_append_outside_of_the_lock_is_a_mistake_of_the_program(self, store: Store) -> None:
        with pytest.raises(RuntimeError):
            add(store, START, "a")

    # Segments.

    @pytest.mark.parametrize("size", [1, 120, 200, 300, 500])
    def test_segments_are_sealed_between_commits_and_read_as_one_log(
        self, make: MakeStore, size: int
    ) -> None:
        store = make(segment_size=size)
        commits = [["a"], ["b", "c", "d"], ["e"], ["f", "g"], ["h"]]
        positions = fill(store, *commits)
        assert texts_of(store) == list("abcdefgh")
        assert len({position.segment for position in positions}) > 1
        for position in positions:
            assert texts_of(store, position) == list("abcdefgh")[position.id :]

    def test_a_segment_is_numbered_by_its_first_event(self, make: MakeStore) -> None:
        positions = fill(make(segment_size=1), ["a"], ["b", "c"], ["d"])
        assert [position.segment for position in positions] == [1, 2, 4]

    # The log, backward and by id.

    @pytest.mark.parametrize("size", [1, 250, 1 << 20])
    def test_read_backwards_gives_the_newest_first(self, make: MakeStore, size: int) -> None:
        store = make(segment_size=size)
        fill(store, ["a"], ["b", "c"], ["d"])
        assert [text(record) for record in store.read_backwards()] == list("dcba")

    @pytest.mark.parametrize("size", [1, 250, 1 << 20])
    def test_read_backwards_begins_below_an_id(self, make: MakeStore, size: int) -> None:
        store = make(segment_size=size)
        fill(store, ["a"], ["b", "c"], ["d"])
        for before in range(1, 7):
            expected = list("abcd")[: before - 1][::-1]
            assert [text(record) for record in store.read_backwards(before)] == expected

    @pytest.mark.parametrize("size", [1, 1000, 1 << 20])
    def test_every_event_is_found_by_its_id(self, make: MakeStore, size: int) -> None:
        store = make(segment_size=size)
        fill(store, *([str(n) * (n % 50)] for n in range(1, 101)))
        for number in range(1, 101):
            record = store.event(number)
            assert (record.id, text(record)) == (number, str(number) * (number % 50))

    def test_an_event_that_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.event(1)
        fill(store, ["a"], ["b"])
        for number in (-1, 0, 3):
            with pytest.raises(NotFound) as raised:
                store.event(number)
            assert raised.value.message == f"The log has no event {number}"

    # The lock.

    def test_two_threads_are_never_inside_the_lock_at_once(self, store: Store) -> None:
        fill(store, ["start"])
        errors: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(25):
                    with store.locked("work", WAIT):
                        add(store, end_of(store), "x")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert end_of(store).id == 101

    def test_waiting_in_vain_names_the_command_that_holds_the_lock(self, store: Store) -> None:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with store.locked("tasks.claim", WAIT):
                held.set()
                done.wait(WAIT)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(WAIT)
        try:
            says = r"tasks\.claim.*since 20.*waited 0.01 s"
            with pytest.raises(TimedOut, match=says), store.locked("tasks.add", 0.01):
                pass
        finally:
            done.set()
            thread.join()

    def test_the_lock_is_given_back_when_the_block_fails(self, store: Store) -> None:
        with pytest.raises(KeyError), store.locked("first", WAIT):
            raise KeyError
        with store.locked("second", 0):
            pass

    def test_taking_the_lock_twice_is_a_mistake_of_the_program(self, store: Store) -> None:
        with store.locked("first", WAIT), pytest.raises(RuntimeError), store.locked("second", WAIT):
            pass

    # Waiting.

    def test_wait_sees_what_is_there_already(self, store: Store) -> None:
        first, last = fill(store, ["a"], ["b"])
        assert store.wait(START, 0)
        assert store.wait(first, 0)
        assert not store.wait(last, 0)

    def test_wait_on_an_empty_board_ends_with_its_time(self, store: Store) -> None:
        assert not store.wait(START, 0)

    def test_wait_ends_when_somebody_commits(self, store: Store) -> None:
        (position,) = fill(store, ["a"])
        writer = threading.Timer(0, fill, (store, ["b"]))
        writer.start()
        assert store.wait(position, WAIT)
        writer.join()

    def test_wait_sees_a_commit_that_began_a_new_segment(self, make: MakeStore) -> None:
        store = make(segment_size=1)
        first, last = fill(store, ["a"], ["b"])
        assert store.wait(first, 0)
        assert not store.wait(last, 0)

    # Snapshot, presence, documents.

    def test_the_snapshot_is_the_one_saved_last(self, store: Store) -> None:
        assert store.load_snapshot() is None
        store.save_snapshot(b"first")
        store.save_snapshot(b"2")
        assert store.load_snapshot() == b"2"

    def test_the_age_of_the_snapshot_is_counted_from_the_last_save(self, store: Store) -> None:
        assert store.snapshot_age() == float("inf")
        before = time.time() - 1  # a file's time has a coarser clock
        store.save_snapshot(b"first")
        assert 0 <= store.snapshot_age() <= time.time() - before
        store.write_document("a", b"")
        store.touch("ann")
        before = time.time() - 1
        store.save_snapshot(b"2")
        assert 0 <= store.snapshot_age() <= time.time() - before

    def test_presence_is_the_time_of_the_last_touch(self, store: Store) -> None:
        assert store.seen() == {}
        before = time.time() - 1  # a file's time has a coarser clock
        store.touch("rig/crew/ann")
        store.touch("100%")
        store.touch("rig/crew/ann")
        seen = store.seen()
        assert seen.keys() == {"rig/crew/ann", "100%"}
        assert all(before <= moment <= time.time() + 1 for moment in seen.values())

    def test_a_cursor_is_what_its_reader_noted_last(self, store: Store) -> None:
        assert store.read_cursor("prime/rig/ann") == ""
        store.write_cursor("prime/rig/ann", "17")
        store.write_cursor("prime/bob", "4")
        store.write_cursor("prime/rig/ann", "18")
        assert (store.read_cursor("prime/rig/ann"), store.read_cursor("prime/bob")) == ("18", "4")

    def test_documents_are_written_listed_read_and_deleted(self, store: Store) -> None:
        assert store.documents() == []
        assert store.read_document("b.topic") is None
        store.write_document("b.topic", b"text\n")
        store.write_document("a", b"")
        store.write_document("b.topic", b"text, again\n")
        assert store.documents() == ["a", "b.topic"]
        assert store.read_document("b.topic") == b"text, again\n"
        store.delete_document("b.topic")
        store.delete_document("b.topic")
        assert store.documents() == ["a"]
        assert store.read_document("b.topic") is None
