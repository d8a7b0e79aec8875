"""The hold-out: the same loans every night and on every machine, in about the share asked for."""

import pytest

from algorithms.contact.holdout import held_out

DRAWN = [9, 59]


def test_the_draw_is_written_down_so_that_no_machine_and_no_version_draws_anew() -> None:
    assert [n for n in range(60) if held_out(f"L{n:04d}")] == DRAWN


def test_one_loan_in_twenty_is_held_out_and_a_larger_share_holds_out_those_too() -> None:
    loans = [f"P{n:09d}-1" for n in range(20_000)]
    drawn = {loan for loan in loans if held_out(loan)}
    assert len(drawn) == pytest.approx(1_000, abs=150)  # 5 standard deviations
    assert drawn < {loan for loan in loans if held_out(loan, 0.1)}


def test_nobody_or_everybody_can_be_held_out_and_a_share_is_a_share() -> None:
    assert not any(held_out(f"L{n}", 0.0) for n in range(1_000))
    assert all(held_out(f"L{n}", 1.0) for n in range(1_000))
    with pytest.raises(ValueError, match="between 0 and 1"):
        held_out("L1", 5)
