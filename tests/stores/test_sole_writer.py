"""When a program guesses that it is the only writer of a board."""

from orchestrator.stores.postgres.sole_writer import ALONE, SoleWriter


def locks_until_likely(writer: SoleWriter) -> int:
    count = 0
    while not writer.is_likely:
        writer.note_lock(is_alone=True)
        count += 1
    return count


def test_each_wrong_guess_doubles_the_locks_and_as_many_right_ones_halve_them() -> None:
    writer = SoleWriter()
    assert locks_until_likely(writer) == ALONE
    for count in 2 * ALONE, 4 * ALONE:
        writer.note_wrong()
        assert locks_until_likely(writer) == count
    for count in 4 * ALONE, 2 * ALONE:
        for _ in range(count):
            writer.note_right()
    writer.note_lock(is_alone=False)
    assert locks_until_likely(writer) == ALONE


def test_after_a_wrong_guess_the_locks_are_counted_from_zero() -> None:
    """Another program can hold the lock without a commit, which no lock shows."""
    writer = SoleWriter()
    for _ in range(1000):
        writer.note_lock(is_alone=True)
    writer.note_wrong()
    assert not writer.is_likely
