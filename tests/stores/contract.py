"""The contract of every store. A test module inherits :class:`StoreContract` and provides its store."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from msgspec.json import decode, encode
from msgspec.structs import replace

from orchestrator.core.errors import BadInput, Damage, NotFound, TimedOut
from orchestrator.core.events import RequestMark
from orchestrator.core.store import LARGEST_RECORD, START, Checkpoints, Cursor, FilePart, Store
from orchestrator.maintenance.board_merge.two_logs import shared_ends
from orchestrator.stores.memory import MemoryStore

from .building import WAIT, add, end_of, fill, lines, records, text, texts_of

MakeStore = Callable[[], Store]


class StoreContract:
    """Needs a fixture ``make``, each call of which makes the store of a new, empty board."""

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

    def test_append_gives_the_new_end_of_the_log(self, store: Store) -> None:
        with store.locked("test", WAIT):
            first = add(store, START, "a", "b")
            second = add(store, first, "c")
        assert (first.id, second.id) == (2, 3)
        assert end_of(store) == second

    def test_several_commits_may_be_appended_at_once(self, store: Store) -> None:
        several = records(START, "a", "b", "c")
        closed = [several[0], replace(several[1], more=True), several[2]]
        with store.locked("test", WAIT):
            end = store.append([replace(closed[0], more=False), *closed[1:]], START)
        assert texts_of(store) == ["a", "b", "c"]
        assert end_of(store) == end

    def test_the_mark_of_the_log_changes_with_it_and_only_with_it(self, store: Store) -> None:
        (end,) = fill(store, ["a"])
        mark = store.mark()
        assert len(texts_of(store)) == 1
        assert store.mark() == mark
        with store.locked("test", WAIT):
            add(store, end, "b")
        assert store.mark() != mark

    def test_a_record_is_read_as_it_was_appended(self, store: Store) -> None:
        mark = RequestMark("r-1", "tasks.add", "00", 2)
        first, last = records(START, "caf\u00e9 \u2028", "b")
        written = [first, replace(last, v=2, req=mark, agent="rig/ann")]
        with store.locked("test", WAIT):
            store.append(written, START)
        (chunk,) = store.read(START)
        for read, record in zip(chunk.events, written, strict=True):
            assert decode(read.payload) == decode(record.payload)
            assert replace(read, payload=record.payload) == record

    def test_reading_goes_on_behind_a_cursor(self, store: Store) -> None:
        first, second, _ = fill(store, ["a"], ["b", "c"], ["d"])
        assert texts_of(store, first) == ["b", "c", "d"]
        assert texts_of(store, second) == ["d"]
        assert list(store.read(end_of(store))) == []

    def test_the_end_of_the_last_chunk_is_the_end_of_the_log(self, store: Store) -> None:
        cursors = fill(store, ["a"], ["b", "c"])
        *_, chunk = store.read(START)
        assert chunk.end == cursors[-1]

    def test_two_logs_share_the_commits_up_to_the_first_difference(self, make: MakeStore) -> None:
        """Not a part of a commit: the cursor after the shared commits reads the rest of the own log."""
        store, stranger = make(), make()
        fill(store, ["a"], ["b", "c"], ["d", "e"], ["f"])
        fill(stranger, ["x"])
        for other in (make(), MemoryStore()):
            fill(other, ["a"], ["b", "c"], ["d", "x"])
            mine, theirs = shared_ends(store, other)
            assert texts_of(store, mine) == ["d", "e", "f"]
            assert texts_of(other, theirs) == ["d", "x"]
        assert shared_ends(store, store) == (end_of(store), end_of(store))
        assert shared_ends(store, stranger)[0].id == shared_ends(store, make())[0].id == 0

    def test_a_cursor_survives_as_json(self, store: Store) -> None:
        """A snapshot contains the cursor."""
        first, _ = fill(store, ["a"], ["b"])
        again = decode(encode(first), type=store.cursor_type)
        assert again == first
        assert texts_of(store, again) == ["b"]

    def test_a_record_of_many_mebibytes_is_read(self, store: Store) -> None:
        long = "x" * (10 << 20)
        fill(store, ["a"], [long, "b"], ["c"])
        assert texts_of(store) == ["a", long, "b", "c"]
        assert [len(text(record)) for record in store.read_backwards()] == [1, 1, len(long), 1]
        assert text(store.event(2)) == long

    def test_a_cursor_beyond_the_end_of_the_log_is_damage(
        self, store: Store, make: MakeStore
    ) -> None:
        fill(store, ["a"])
        check_behind(store, fill(make(), ["a"], ["b"])[-1])

    def test_a_cursor_of_a_log_that_went_another_way_is_damage(
        self, store: Store, make: MakeStore
    ) -> None:
        fill(store, ["a"], ["b"], ["c"])
        check_behind(store, fill(make(), ["a"], ["x"])[-1])

    def test_a_cursor_on_a_board_without_events_is_damage(
        self, store: Store, make: MakeStore
    ) -> None:
        check_behind(store, fill(make(), ["a"])[-1])

    def test_a_record_over_16_mib_is_refused_with_its_commit(self, store: Store) -> None:
        (cursor,) = fill(store, ["a"])
        with store.locked("test", WAIT), pytest.raises(BadInput):
            add(store, cursor, "b", "x" * LARGEST_RECORD)
        assert texts_of(store) == ["a"]

    def test_nothing_is_appended_behind_a_cursor_that_is_not_the_end(self, store: Store) -> None:
        first, _ = fill(store, ["a"], ["b"])
        for after in (START, first):
            with store.locked("test", WAIT), pytest.raises(Damage) as raised:
                add(store, after, "c")
            assert raised.value.code == "log_changed"
        assert texts_of(store) == ["a", "b"]

    def test_append_outside_of_the_lock_is_a_mistake_of_the_program(self, store: Store) -> None:
        with pytest.raises(RuntimeError):
            add(store, START, "a")

    # The log, backward and by id.

    def test_read_backwards_gives_the_newest_first(self, store: Store) -> None:
        fill(store, ["a"], ["b", "c"], ["d"])
        assert [text(record) for record in store.read_backwards()] == list("dcba")

    def test_read_backwards_begins_below_an_id(self, store: Store) -> None:
        fill(store, ["a"], ["b", "c"], ["d"])
        for before in range(1, 7):
            expected = list("abcd")[: before - 1][::-1]
            assert [text(record) for record in store.read_backwards(before)] == expected

    def test_every_event_is_found_by_its_id(self, store: Store) -> None:
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
            sentence = r"tasks\.claim.*since 20.*waited 0.01 s"
            with pytest.raises(TimedOut, match=sentence), store.locked("tasks.add", 0.01):
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

    def test_a_wait_ends_with_a_commit(self, store: Store) -> None:
        (position,) = fill(store, ["a"])
        writer = threading.Timer(0, fill, (store, ["b"]))
        writer.start()
        assert store.wait(position, WAIT)
        writer.join()

    # Snapshot, presence, documents.

    def test_the_snapshot_is_the_one_saved_last(self, store: Store) -> None:
        assert store.open_snapshot() is None
        store.save_snapshot(b"first")
        file = store.open_snapshot()
        store.save_snapshot(b"22")
        again = store.open_snapshot()
        assert again is not None
        assert (again.size, again.read(0, 9), again.read(1, 1)) == (2, b"22", b"2")
        assert file is not None
        assert file.read(0, 9) == b"first", "an open one stays as it was"

    def test_cold_files_are_written_whole_and_open_ones_outlive_their_names(
        self, store: Store
    ) -> None:
        store.save_snapshot(b"{}")
        files = store.cold
        assert files is not None
        assert (files.names(), files.open(["1.jsonl"]).sizes) == ([], {})
        files.write("1.jsonl", b"12345")
        files.write("2.jsonl", b"x")
        files.write("2.jsonl", b"y")
        opened = files.open(["1.jsonl", "3.jsonl", "2.jsonl"])
        assert opened.sizes == {"1.jsonl": 5, "2.jsonl": 1}
        first, last, other = ("1.jsonl", 1, 3), ("1.jsonl", 4, 9), ("2.jsonl", 0, 9)
        parts = [FilePart(*part) for part in (last, other, first)]
        assert opened.read(parts) == [b"5", b"y", b"234"]
        files.remove("1.jsonl")
        files.remove("1.jsonl")
        assert (files.names(), files.open(["1.jsonl"]).sizes) == (["2.jsonl"], {})
        assert opened.read(parts) == [b"5", b"y", b"234"]

    def test_a_checkpoint_is_the_one_saved_last_for_its_part(self, store: Store) -> None:
        store.save_snapshot(b"{}")
        kept = checkpoints_of(store)
        kept.save(12, b"first")
        kept.save(5, b"five")
        marks = [kept.mark(12)]
        kept.save(12, b"22")
        marks += [kept.mark(12), kept.mark(6)]
        assert len(set(marks)) == len(marks) or "" in marks[:2], "a mark differs after a change"
        assert marks[-1] == ""
        assert list(kept.sizes().items()) == [(5, 4), (12, 2)]
        assert (kept.load(5), kept.load(12), kept.load(6)) == (b"five", b"22", None)
        kept.remove(5)
        kept.remove(5)
        assert (kept.sizes(), kept.load(5)) == ({12: 2}, None)

    def test_a_part_of_the_log_begins_with_a_commit_and_has_its_number_for_every_reader(
        self, store: Store, make: MakeStore
    ) -> None:
        kept, size = checkpoints_of(store), len(lines(START, "x" * 40))
        ends = [START, *fill(store, *(["x" * 40, "y"][: 1 + n % 2] for n in range(60)))]
        parts = [kept.part(end) for end in ends]
        assert parts[:2] == [1, 1]
        assert set(parts[1:]) <= {1, *(end.id + 1 for end in ends)}
        assert parts == sorted(parts)
        assert all(part <= end.id for part, end in zip(parts[1:], ends[1:], strict=True))
        assert 60 * size < kept.log_size() < 60 * 3 * size
        assert checkpoints_of(make()).part(START) == 1
        assert [kept.part(end) for end in reversed(ends)] == parts[::-1]

    def test_the_age_of_the_snapshot_is_counted_from_the_last_save(self, store: Store) -> None:
        assert store.snapshot_age() == float("inf")
        before = time.time() - 1  # a file's time has a coarser clock
        store.save_snapshot(b"first")
        assert 0 <= store.snapshot_age() <= time.time() - before
        store.documents.write("a/b", b"")
        store.presence.touch("ann")
        before = time.time() - 1
        store.save_snapshot(b"2")
        assert 0 <= store.snapshot_age() <= time.time() - before

    def test_the_mark_of_the_snapshot_changes_when_it_is_saved(self, store: Store) -> None:
        marks = [store.snapshot_mark()]
        assert marks == [None]
        for _ in range(3):
            store.save_snapshot(b"the same")
            marks.append(store.snapshot_mark())
            assert store.snapshot_mark() == marks[-1]
        assert all(before != after for before, after in itertools.pairwise(marks))

    def test_presence_is_the_time_of_the_last_touch(self, store: Store) -> None:
        assert store.presence.seen() == {}
        before = time.time() - 1  # a file's time has a coarser clock
        store.presence.touch("rig/crew/ann")
        store.presence.touch("100%")
        store.presence.touch("rig/crew/ann")
        seen = store.presence.seen()
        assert seen.keys() == {"rig/crew/ann", "100%"}
        assert all(before <= moment <= time.time() + 1 for moment in seen.values())

    def test_an_agent_counts_as_waiting_until_it_ends_the_wait_and_as_active_meanwhile(
        self, store: Store
    ) -> None:
        with store.presence.waiting_as("rig/ann"), store.presence.waiting_as("bob"):
            with store.presence.waiting_as("bob"):
                assert store.presence.waiting() == {"rig/ann", "bob"}
            before = time.time() - 1
            assert store.presence.waiting() == {"rig/ann", "bob"}
            assert all(moment >= before for moment in store.presence.seen().values())
            assert store.presence.seen().keys() == {"rig/ann", "bob"}
        assert store.presence.waiting() == set()

    def test_an_agent_counts_as_served_until_its_server_ends(self, store: Store) -> None:
        with store.presence.serving_as("rig/ann"), store.presence.serving_as("bob"):
            assert store.presence.serving() == {"rig/ann": True, "bob": True}
            assert store.presence.waiting() == set()
            assert store.presence.seen() == {}
        assert store.presence.serving() == {}

    def test_a_cursor_is_what_its_reader_noted_last(self, store: Store) -> None:
        assert store.cursors.read("prime/rig/ann") == ""
        store.cursors.write("prime/rig/ann", "17")
        store.cursors.write("prime/bob", "4")
        store.cursors.write("prime/rig/ann", "18")
        assert (store.cursors.read("prime/rig/ann"), store.cursors.read("prime/bob")) == ("18", "4")

    def test_a_folder_of_documents_may_stand_in_another(self, store: Store) -> None:
        documents = store.documents
        documents.write("notes/deep/d.md", b"deep\n")
        documents.write("notes/a.md", b"")
        assert documents.names("notes") == ["a.md"]
        assert documents.names("notes/deep") == ["d.md"]
        assert (documents.folders("notes"), documents.folders("notes/deep")) == (["deep"], [])
        assert documents.folders("nothing") == []
        assert documents.read("notes/deep/d.md") == b"deep\n"

    def test_documents_are_written_listed_read_and_deleted(self, store: Store) -> None:
        documents = store.documents
        assert documents.names("notes") == []
        assert documents.read("notes/b.md") is None
        documents.write("notes/b.md", b"text\n")
        documents.write("notes/a", b"")
        documents.write("plans/c", b"")
        documents.write("notes/b.md", b"text, again\n")
        assert documents.names("notes") == ["a", "b.md"]
        assert documents.read("notes/b.md") == b"text, again\n"
        documents.delete("notes/b.md")
        documents.delete("notes/b.md")
        assert documents.names("notes") == ["a"]
        assert documents.read("notes/b.md") is None


def checkpoints_of(store: Store) -> Checkpoints:
    if store.checkpoints is None:
        pytest.skip("this store keeps no checkpoints")
    return store.checkpoints


def check_behind(store: Store, cursor: Cursor) -> None:
    """Check that the store reports a cursor that does not match the log."""
    before = texts_of(store)
    with pytest.raises(Damage, match=f"not hold event {cursor.id} as it was read") as raised:
        list(store.read(cursor))
    assert raised.value.code == "log_behind"
    assert texts_of(store) == before
