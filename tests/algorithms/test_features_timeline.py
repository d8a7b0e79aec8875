"""Running totals as of many moments agree with counting by hand; no Spark is needed for that."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.features.timeline import MEASURES, counts_before

_SCHEMA = {"key": pl.String, "person": pl.String, "at": pl.Int64} | dict.fromkeys(MEASURES, pl.Int64)
_ASKED = {"application_id": pl.String, "key": pl.String, "person": pl.String, "at": pl.Int64}
WINDOWS = {"neighbor_3": ("neighbor", 3), "application_5": ("application", 5)}


def change(key: str, person: str, at: int, **measures: int) -> dict[str, object]:
    return {"key": key, "person": person, "at": at, **dict.fromkeys(MEASURES, 0), **measures}


def answers(changes: list[dict[str, object]], *asked: tuple[str, str, int]) -> list[dict[str, object]]:
    questions = pl.DataFrame([(str(n), *question) for n, question in enumerate(asked)], schema=_ASKED, orient="row")
    return counts_before(pl.DataFrame(changes, schema=_SCHEMA), questions, WINDOWS).to_dicts()


def test_what_happens_at_the_moment_itself_is_not_before_it() -> None:
    found = answers([change("dev", "p2", 10, neighbor=1)], ("dev", "p1", 10), ("dev", "p1", 11))
    assert [(row["neighbor"], row["first_at"]) for row in found] == [(0, None), (1, 10)]


def test_a_window_includes_its_start() -> None:
    changes = [change("dev", "p2", 10, neighbor=1)]
    found = answers(changes, ("dev", "p1", 13), ("dev", "p1", 14))
    assert [(row["neighbor"], row["neighbor_3"]) for row in found] == [(1, 1), (1, 0)]


def test_the_asker_is_not_counted_and_still_dates_the_node() -> None:
    changes = [change("dev", "p1", 4, neighbor=1, application=1), change("dev", "p2", 8, neighbor=1, fraud=1)]
    (row,) = answers(changes, ("dev", "p1", 9))
    assert (row["neighbor"], row["persons"], row["fraud"], row["application_5"]) == (1, 2, 1, 0)
    assert row["first_at"] == 4


def test_a_key_that_nobody_knows_has_zeros() -> None:
    (row,) = answers([], ("dev", "p1", 9))
    assert [row[name] for name in (*MEASURES, *WINDOWS, "persons")] == [0] * 8
    assert row["first_at"] is None


_CHANGES = st.lists(
    st.builds(
        change, st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 12),
        **{name: st.integers(-1, 1) for name in MEASURES},
    ),
    max_size=25,
)  # fmt: skip
_QUESTIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 14)), max_size=8)


@settings(max_examples=60, deadline=None)
@given(_CHANGES, _QUESTIONS)
def test_totals_are_those_counted_one_by_one(
    changes: list[dict[str, object]], asked: list[tuple[str, str, int]]
) -> None:
    def total(measure: str, key: str, asker: str | None, start: int, end: int) -> int:
        return sum(
            int(str(c[measure]))
            for c in changes
            if c["key"] == key and c["person"] != asker and start <= int(str(c["at"])) < end
        )

    for row, (key, asker, at) in zip(answers(changes, *asked), asked, strict=True):
        assert {name: row[name] for name in MEASURES} == {n: total(n, key, asker, -99, at) for n in MEASURES}
        assert row["persons"] == total("neighbor", key, None, -99, at)
        assert row["neighbor_3"] == total("neighbor", key, asker, at - 3, at)
        assert row["application_5"] == total("application", key, asker, at - 5, at)
