"""What people say of rings, and how the next night comes to know it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from explorer.rings.labels import FILE, delivery, write
from explorer.rings.verdicts import VERDICTS, Verdict, VerdictMetError, Verdicts, evidence_digest
from explorer.store import ExplorerStore
from graph.lake import Lake
from graph.rings import Evidence, Member, Ring
from graph.tokens import Keys
from ingest.files import landing_files
from ingest.landing import Part, process
from ingest.mapping import Mapping

NIGHT = dt.date(2026, 6, 30)
NOON = dt.datetime(2026, 7, 1, 4, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DAY = NOON.date()


def ring(id: str = "ring_a", members: tuple[str, ...] = ("per_1", "per_2"), **more: Any) -> Ring:
    given: dict[str, Any] = {
        "status": "same", "score": 0.5, "size": len(members), "typology": "device_fan_out", "exposure_cny": 1000.0,
        "as_of_date": NIGHT, "born_on": NIGHT - dt.timedelta(days=9), "first_seen_at": NOON, "last_seen_at": NOON,
        "parent_ids": (), "total": len(members),
        "members": tuple(Member(m, "core", 0.9, NOON, NOON, ()) for m in members),
    }  # fmt: skip
    return Ring(id, **given | more)


@pytest.fixture
def verdicts(tmp_path: Path) -> Verdicts:
    store = ExplorerStore(f"sqlite:///{tmp_path / 'store.db'}")
    store.make()
    return Verdicts(store)


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_a_verdict_stands_until_it_is_replaced_or_taken_back_and_nothing_is_deleted(verdicts: Verdicts) -> None:
    first = verdicts.give(ring(), Verdict.CONFIRMED, "li", NOON, " same handset ")
    second = verdicts.give(ring(), Verdict.CLEARED, "wang", NOON + HOUR, replaces=first.verdict_id)
    assert verdicts.standing() == {"ring_a": second}
    verdicts.withdraw(second.verdict_id, "ring_a", "li", NOON + 2 * HOUR)
    assert not verdicts.standing()
    newest, oldest = verdicts.of("ring_a")
    assert (newest.ended_by, newest.ended_at, oldest.ended_at) == ("li", NOON + 2 * HOUR, NOON + HOUR)
    assert (oldest.note, oldest.members, oldest.evidence_digest) == (
        "same handset",
        ("per_1", "per_2"),
        evidence_digest(ring()),
    )


def test_two_who_judge_at_once_do_not_overwrite_each_other(verdicts: Verdicts) -> None:
    first = verdicts.give(ring(), Verdict.CONFIRMED, "li", NOON)
    with pytest.raises(VerdictMetError):
        verdicts.give(ring(), Verdict.CLEARED, "wang", NOON + HOUR)
    verdicts.withdraw(first.verdict_id, "ring_a", "li", NOON + HOUR)
    with pytest.raises(VerdictMetError):
        verdicts.withdraw(first.verdict_id, "ring_a", "wang", NOON + 2 * HOUR)
    with pytest.raises(VerdictMetError):
        verdicts.give(ring(), Verdict.CLEARED, "wang", NOON + HOUR, replaces=first.verdict_id)


def test_the_database_itself_holds_one_standing_verdict_a_ring(verdicts: Verdicts) -> None:
    first = verdicts.give(ring(), Verdict.CONFIRMED, "li", NOON)
    verdicts.withdraw(first.verdict_id, "ring_a", "li", NOON + HOUR)
    verdicts.give(ring(), Verdict.CLEARED, "li", NOON + HOUR)
    with pytest.raises(IntegrityError), verdicts._store.writing() as connection:
        connection.execute(update(VERDICTS).values(ended_at=None))


def test_a_verdict_on_other_evidence_has_another_digest() -> None:
    told = Evidence("They share one.", ("dev_1",), ())
    assert len({evidence_digest(r) for r in (ring(), ring(evidence=(told,)), ring(members=("per_1", "per_3")))}) == 3


def test_a_suspected_agent_is_not_judged_with_the_ring(verdicts: Verdicts) -> None:
    agent = replace(ring(), members=(*ring().members, Member("per_9", "suspected_agent", 0.4, None, None, ())))
    assert verdicts.give(agent, Verdict.CONFIRMED, "li", NOON).members == ("per_1", "per_2")


# --- labels for the next night ------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Person 1 has two customer numbers, person 2 one; person 3 was erased."""
    lake = Lake(tmp_path / "lake")
    rows = [("A1", "per_1", None), ("A1b", "per_1", None), ("A2", "per_2", None), ("A3", "per_3", NIGHT)]
    frame = pl.DataFrame(
        rows, schema={"applicant_id": pl.String, "person_id": pl.String, "ended_on": pl.Date}, orient="row"
    )
    write_deltalake(lake.graph("applicant_person"), frame.to_arrow())
    return lake


def _ingest(lake: Lake, text: str, day: str, name: str = FILE) -> None:
    """Put a file's rows where the night puts them, with the columns that matter here."""
    rows = [
        {**row, "confirmed_at": dt.datetime.fromisoformat(row["confirmed_at"]), "source_file": f"{day}/{name}",
         "ended_on": None}
        for row in csv.DictReader(io.StringIO(text))
    ]  # fmt: skip
    path = lake.raw("labels")
    known = pl.read_delta(str(path)) if path.exists() else pl.DataFrame()
    schema = {"applicant_id": pl.String, "label": pl.String, "confirmed_at": pl.Datetime("us", "UTC"), "op": pl.String,
              "source_file": pl.String, "ended_on": pl.Date}  # fmt: skip
    table = pl.concat([known, pl.DataFrame(rows, schema=schema)]) if len(known) else pl.DataFrame(rows, schema=schema)
    gone = (
        table.filter(pl.col("op") == "delete").select("applicant_id", "confirmed_at").with_columns(ends=pl.lit(NIGHT))
    )
    table = table.join(gone, on=["applicant_id", "confirmed_at"], how="left")
    table = table.with_columns(ended_on=pl.coalesce("ended_on", pl.when(pl.col("op") == "upsert").then("ends"))).drop(
        "ends"
    )
    write_deltalake(path, table.to_arrow(), mode="overwrite")


def test_a_confirmed_ring_labels_all_customer_numbers_of_its_members_as_fraud(verdicts: Verdicts, lake: Lake) -> None:
    verdicts.give(ring(members=("per_1", "per_2", "per_3")), Verdict.CONFIRMED, "li", NOON)
    found = delivery(verdicts.all(), lake, DAY)
    assert found.text().splitlines() == [
        "applicant_id,label,confirmed_at,reviewer,op",
        "A1,fraud,2026-07-01T04:00:00+00:00,li,upsert",
        "A1b,fraud,2026-07-01T04:00:00+00:00,li,upsert",
        "A2,fraud,2026-07-01T04:00:00+00:00,li,upsert",
    ]  # fmt: skip
    assert (found.ended, found.unknown) == ((), 1)


def test_a_cleared_ring_labels_normal_and_an_unsure_one_nobody(verdicts: Verdicts, lake: Lake) -> None:
    verdicts.give(ring("ring_a", ("per_2",)), Verdict.CLEARED, "li", NOON)
    verdicts.give(ring("ring_b", ("per_1",)), Verdict.UNSURE, "li", NOON)
    assert [row[:2] for row in delivery(verdicts.all(), lake, DAY).labels] == [("A2", "normal")]


def test_what_the_lake_knows_is_not_delivered_again_and_a_lost_file_is_made_up_for(
    verdicts: Verdicts, lake: Lake
) -> None:
    verdicts.give(ring(members=("per_2",)), Verdict.CONFIRMED, "li", NOON)
    first = delivery(verdicts.all(), lake, DAY)
    assert delivery(verdicts.all(), lake, DAY) == first  # no night has read the file
    _ingest(lake, first.text(), "2026-07-01")
    assert delivery(verdicts.all(), lake, DAY).labels == ()


def test_a_delivery_knows_nothing_that_was_said_after_its_day(verdicts: Verdicts, lake: Lake) -> None:
    judged = verdicts.give(ring(members=("per_2",)), Verdict.CONFIRMED, "li", NOON)
    verdicts.withdraw(judged.verdict_id, "ring_a", "li", NOON + dt.timedelta(days=1))
    assert not delivery(verdicts.all(), lake, NIGHT).labels
    assert len(delivery(verdicts.all(), lake, DAY).labels) == 1
    assert not delivery(verdicts.all(), lake, DAY + dt.timedelta(days=1)).labels


def test_a_verdict_taken_back_takes_its_labels_back_and_no_others(verdicts: Verdicts, lake: Lake) -> None:
    lenders = "applicant_id,label,confirmed_at,reviewer,op\nA2,fraud,2026-07-01T04:00:00+00:00,chen,upsert\n"
    _ingest(lake, lenders, "2026-07-01", "labels.csv")
    judged = verdicts.give(ring(members=("per_1",)), Verdict.CONFIRMED, "li", NOON)
    _ingest(lake, delivery(verdicts.all(), lake, DAY).text(), "2026-07-01")
    verdicts.withdraw(judged.verdict_id, "ring_a", "li", NOON + HOUR)
    found = delivery(verdicts.all(), lake, DAY)
    assert [row[:3] for row in found.ended] == [("A1", "fraud", NOON), ("A1b", "fraud", NOON)]
    assert not found.labels
    _ingest(lake, found.text(), "2026-07-02")
    assert delivery(verdicts.all(), lake, DAY).text().count("\n") == 1


def test_a_verdict_taken_back_before_any_night_leaves_no_row_and_empties_the_file(
    verdicts: Verdicts, lake: Lake, tmp_path: Path
) -> None:
    judged = verdicts.give(ring(), Verdict.CONFIRMED, "li", NOON)
    path = write(delivery(verdicts.all(), lake, DAY), tmp_path / "landing", dt.date(2026, 7, 1))
    assert path == tmp_path / "landing" / "2026-07-01" / FILE
    verdicts.withdraw(judged.verdict_id, "ring_a", "li", NOON + HOUR)
    assert write(delivery(verdicts.all(), lake, DAY), tmp_path / "landing", dt.date(2026, 7, 1)) == path
    assert path.read_text() == "applicant_id,label,confirmed_at,reviewer,op\n"
    assert write(delivery(verdicts.all(), lake, DAY), tmp_path / "landing", dt.date(2026, 7, 2)) is None


def test_the_night_accepts_each_row_of_the_file(verdicts: Verdicts, lake: Lake, tmp_path: Path) -> None:
    gone = verdicts.give(ring("ring_b", ("per_2",)), Verdict.CLEARED, "wang", NOON)
    _ingest(lake, delivery(verdicts.all(), lake, DAY).text(), "2026-07-01")
    verdicts.withdraw(gone.verdict_id, "ring_b", "li", NOON + HOUR)
    verdicts.give(ring(), Verdict.CONFIRMED, "li", NOON + HOUR)
    landing, day = tmp_path / "landing", dt.date(2026, 7, 2)
    write(delivery(verdicts.all(), lake, DAY), landing, day)
    ((file, _),) = landing_files(landing, Mapping(), day)
    assert file is not None
    assert file.source == "labels"
    keys = tmp_path / "keys.json"
    Keys.create(keys)
    counts = process(Part(file), Mapping(), tmp_path / "staging", keys)
    assert (counts.read, counts.typed, counts.quarantined) == (4, 4, 0)
    (staged,) = (tmp_path / "staging" / "labels" / "rows").glob("*.parquet")
    rows = (
        pl.read_parquet(staged).select("applicant_id", "label", "op", "confirmed_at").sort("op", "applicant_id").rows()
    )
    assert rows == [
        ("A2", "normal", "delete", NOON),
        ("A1", "fraud", "upsert", NOON + HOUR),
        ("A1b", "fraud", "upsert", NOON + HOUR),
        ("A2", "fraud", "upsert", NOON + HOUR),
    ]
