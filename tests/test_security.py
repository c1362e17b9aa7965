"""The contract's table of bad input: an attack for each row, which works on a naive version."""

import pytest
from stress import runner_attacks
from stress.security import ATTACKS, ROWS, Attack, ground


@pytest.mark.parametrize("attack", [*ATTACKS, *runner_attacks.ATTACKS], ids=repr)
def test_an_attack_that_works_on_the_naive_version_does_nothing_to_a_board(attack: Attack) -> None:
    """An attack that fails on the naive version would prove nothing."""
    with ground() as place:
        assert attack.naive(place), "the attack is not an attack"
    with ground() as place:
        assert attack.real(place) == ""


def test_every_row_of_the_table_is_attacked() -> None:
    assert {attack.row for attack in ATTACKS} == set(ROWS)
    assert {attack.row for attack in runner_attacks.ATTACKS} == set(runner_attacks.ROWS)
