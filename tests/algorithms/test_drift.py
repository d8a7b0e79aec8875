"""Drift is told where there is some, names whom to ask, and is silent where nights are alike, small or first."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from scipy import stats

from algorithms.drift.figures import FED_BY, DriftFigure, figures, report
from algorithms.drift.histograms import EMPTY, Histogram, half_octave, shift
from algorithms.drift.monitor import MODEL_SCORES, add, drift
from algorithms.drift.settings import DriftSettings
from graph.lake import Lake
from graph.schema import LANDED_EDGES
from ingest.events import edge_sources

SETTINGS = DriftSettings()
START = date(2026, 6, 1)
COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10_000), min_size=1)


def night(number: int) -> date:
    return START + timedelta(days=number)


def end(day: date) -> datetime:
    return datetime.combine(day, datetime.max.time(), UTC)


def alarms(found: list[DriftFigure]) -> dict[str, str]:
    return {f"{f.metric} {f.group}".strip(): f.blame for f in found if f.status in ("alarm", "warn")}


@given(COUNTS, st.integers(1, 50))
def test_nights_with_equal_shares_lie_zero_apart(counts: dict[str, int], times: int) -> None:
    same = shift(counts, {name: count * times for name, count in counts.items()}, ordered=False)
    assert same.psi == pytest.approx(0, abs=1e-12)
    assert same.psi_p > 0.99


@given(COUNTS, COUNTS)
def test_psi_is_never_negative_and_the_same_from_either_side(a: dict[str, int], b: dict[str, int]) -> None:
    assert shift(a, b, ordered=False).psi >= 0
    assert shift(a, b, ordered=False).psi == pytest.approx(shift(b, a, ordered=False).psi)


def test_psi_agrees_with_its_definition() -> None:
    now, then = {"a": 60, "b": 40}, {"a": 300, "b": 700}
    expected = (0.6 - 0.3) * math.log(0.6 / 0.3) + (0.4 - 0.7) * math.log(0.4 / 0.7)
    moved = shift(now, then, ordered=False)
    assert moved.psi == pytest.approx(expected)
    assert (moved.bin, moved.then, moved.now) == ("a", 0.3, 0.6)
    assert moved.ks is None


@given(st.lists(st.integers(0, 6), min_size=20, max_size=200), st.lists(st.integers(0, 6), min_size=20, max_size=200))
def test_ks_of_a_bin_for_each_value_is_that_of_scipy(a: list[int], b: list[int]) -> None:
    counted = [{str(value): rows.count(value) for value in set(rows)} for rows in (a, b)]
    moved = shift(counted[0], counted[1], ordered=True)
    oracle = stats.ks_2samp(a, b, method="asymp")
    assert moved.ks == pytest.approx(oracle.statistic)


@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_a_number_lies_between_the_bounds_of_its_bin(value: float) -> None:
    index = int(np.sign(value)) * math.floor(2 * math.log2(1 + abs(value)) + 1e-9)
    low, high = (2 ** (edge / 2) - 1 for edge in (abs(index), abs(index) + 1))
    assert low * (1 - 1e-6) - 1e-6 <= abs(value) <= high * (1 + 1e-6) + 1e-6
    assert [half_octave(n) for n in (-2, 0, 2, 3, 4)] == ["-1", "0", "1", "1.828", "3"]


def test_nights_of_one_law_hardly_ever_alarm() -> None:
    rng = np.random.default_rng(7)
    law = rng.dirichlet(np.ones(12))
    told = 0
    for _ in range(300):
        draws = [dict(zip("abcdefghijkl", rng.multinomial(n, law).tolist(), strict=True)) for n in (80, 240)]
        past = {night(0): [Histogram("channel", "", draws[1])]}
        told += figures(night(1), [Histogram("channel", "", draws[0])], past, SETTINGS)[0].status != "ok"
    assert told <= 3  # one in a thousand by design; the same draws without the p-value would warn in most nights


def test_the_first_night_has_no_reference_and_says_so() -> None:
    found = figures(night(0), [Histogram("channel", "", {"a": 500})], {}, SETTINGS)
    assert [f.status for f in found] == ["no_reference"]
    assert report(found)["status"] == "no_reference"
    assert "No reference yet" in report(found)["sentences"][0]
    assert report([])["sentences"] == report(found)["sentences"]


def test_a_first_load_is_no_reference_for_a_night() -> None:
    past = {night(0): [Histogram("channel", "", {"a": 90_000, "b": 10})]}
    assert figures(night(1), [Histogram("channel", "", {"b": 500})], past, SETTINGS)[0].status == "no_reference"
    standing = Histogram("ring_size", "", {"5": 80}, ordered=True)
    few_channels = Histogram("degree", "referred_by.dst", {"2047": 60}, ordered=True)
    first = {night(0): [Histogram("rows", "", {"contacts": 90_000}), few_channels, standing]}
    today = [
        Histogram("rows", "", {"contacts": 500}),
        Histogram("degree", "referred_by.dst", {"3": 60}, True),
        standing,
    ]
    assert {f.metric: f.status for f in figures(night(1), today, first, SETTINGS)} == {
        "rows": "no_reference", "degree": "no_reference", "ring_size": "ok",
    }  # fmt: skip


def test_a_new_category_is_named() -> None:
    past = {night(n): [Histogram("channel", "", {"agent-1": 300, "agent-2": 200})] for n in range(5)}
    today = Histogram("channel", "", {"agent-1": 250, "agent-2": 150, "agent-9": 200})
    (found,) = figures(night(5), [today], past, SETTINGS)
    assert (found.status, found.blame) == ("alarm", "channel agent-9, delivery 2026-06-06")
    assert "agent-9 went from 0.0% to 33.3%" in found.sentence


def test_few_rows_never_alarm() -> None:
    past = {night(0): [Histogram("channel", "", {"a": 40, "b": 5})]}
    (found,) = figures(night(1), [Histogram("channel", "", {"c": 49})], past, SETTINGS)
    assert found.status == "too_few"
    assert (
        figures(night(1), [Histogram("channel", "", {"c": 49})], past, DriftSettings(min_count=40))[0].status == "alarm"
    )


def test_only_the_last_nights_count_and_none_after_the_night() -> None:
    past = {night(n): [Histogram("channel", "", {"old" if n < 5 else "new": 100})] for n in range(10)}
    today = [Histogram("channel", "", {"new": 100})]
    assert figures(night(10), today, past, DriftSettings(nights=5))[0].status == "ok"
    assert figures(night(10), today, past, DriftSettings(nights=6))[0].nights == 6
    assert figures(night(5), today, past, SETTINGS)[0].status == "alarm"  # the nights from 5 on are its future


def test_a_source_that_delivers_more_or_nothing_is_named() -> None:
    past = {night(n): [Histogram("rows", "", {"calls": 1000, "contacts": 400, "labels": 3})] for n in range(4)}
    found = figures(night(4), [Histogram("rows", "", {"calls": 1000})], past, SETTINGS)
    volumes = {f.group: (f.status, f.ratio) for f in found if f.metric == "volume"}
    assert volumes == {"calls": ("ok", 1.0), "contacts": ("alarm", 0.0)}
    assert alarms(found)["volume contacts"] == "source contacts, delivery 2026-06-05"
    doubled = figures(night(4), [Histogram("rows", "", {"calls": 2500, "contacts": 1000})], past, SETTINGS)
    assert {f.group: f.status for f in doubled if f.metric == "volume"} == {"calls": "warn", "contacts": "warn"}


def test_the_report_is_json_with_the_worst_first() -> None:
    past = {
        night(n): [Histogram("channel", "", {"a": 300}), Histogram("nulls", "calls.x", {"filled": 300})]
        for n in range(5)
    }
    today = [Histogram("channel", "", {"b": 300}), Histogram("nulls", "calls.x", {EMPTY: 30, "filled": 270})]
    told = json.loads(json.dumps(report(figures(night(5), today, past, SETTINGS))))
    assert (told["status"], told["counts"]["alarm"]) == ("alarm", 2)
    assert [row["metric"] for row in told["figures"]] == ["channel", "nulls"]
    assert told["figures"][1]["blame"] == "source calls, column x, delivery 2026-06-06"


def test_the_sources_that_feed_an_edge_are_those_of_ingest() -> None:
    assert {e.table: edge_sources(e)[:-1] for e in LANDED_EDGES if len(edge_sources(e)) > 1} == FED_BY


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_PSI_ALARM", "0.5")
    assert DriftSettings().psi_alarm == 0.5


# --- on the lake -----------------------------------------------------------------------------------------------------

_KNOWN = {"delivered_on": pa.date32(), "ended_on": pa.date32()}
_TIME = pa.timestamp("us", "UTC")


def put(path: Path, rows: list[dict[str, Any]], types: dict[str, pa.DataType], by: str = "delivered_on") -> None:
    write_deltalake(path, pa.Table.from_pylist(rows, schema=pa.schema(types.items())), mode="append", partition_by=[by])


def deliver(lake: Lake, day: date, *, late: bool = False, agent: bool = False, mask: bool = False) -> None:
    """One night: 200 applications of four channels, 600 contacts of 200 applicants; the options make it drift."""
    noon = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
    known = {"delivered_on": day, "ended_on": None}
    applications = [
        {
            "application_id": f"{day}-{n}", "phone": None if mask and n % 3 else f"tel_{n}",
            "channel": f"agent-{n % 4}", "applied_at": noon, "op": "upsert", **known,
        }
        for n in range(200)
    ]  # fmt: skip
    put(lake.raw("applications"), applications, {
        "application_id": pa.string(), "phone": pa.string(), "channel": pa.string(), "applied_at": _TIME,
        "op": pa.string(), **_KNOWN,
    })  # fmt: skip
    links = {"src": pa.string(), "dst": pa.string(), "at": _TIME, **_KNOWN}
    contacts = [
        {
            "src": f"a{n % 200}", "dst": "tel_agent" if agent and n % 2 else f"tel_{n}",
            "at": noon - timedelta(days=9) if late and n % 2 else noon, **known,
        }
        for n in range(600)
    ]  # fmt: skip
    put(lake.graph("lists_contact_events"), contacts, links)
    put(lake.graph("lives_at_events"), [
        {"src": f"a{n}", "dst": f"adr_{n // 2}", "at": noon, **known} for n in range(200)
    ], links)  # fmt: skip
    future = [{"src": f"a{n}", "dst": "adr_x", "at": noon + timedelta(days=30), **known} for n in range(500)]
    put(lake.graph("works_at_events"), future, links)  # delivered ahead of its time: seen by no night here
    put(lake.features("application_graph"), [
        {"application_id": f"{day}-{n}", "applied_on": day, "hop2_count": n % 7, "fraud_ratio": None if n % 2 else 0.1}
        for n in range(200)
    ], {
        "application_id": pa.string(), "applied_on": pa.date32(), "hop2_count": pa.int64(), "fraud_ratio": pa.float64(),
    }, "applied_on")  # fmt: skip
    scored = [(f"r{n}", "same", 0.95 if agent else n % 10 / 10, "agent_star") for n in range(60)]
    scored += [(f"gone{n}", "dissolved", 0.0, "unknown") for n in range(60 if late else 0)]
    put(lake.results("societies"), [
        {"person_id": f"p{n}", "society": n // 4, "as_of_date": day} for n in range(400)
    ], {"person_id": pa.string(), "society": pa.int64(), "as_of_date": pa.date32()}, "as_of_date")  # fmt: skip
    put(lake.results("rings"), [
        {"ring_id": id, "as_of_date": day, "status": status, "score": score, "size": 5, "typology": kind}
        for id, status, score, kind in scored
    ], {
        "ring_id": pa.string(), "as_of_date": pa.date32(), "status": pa.string(), "score": pa.float64(),
        "size": pa.int64(), "typology": pa.string(),
    }, "as_of_date")  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two equal nights, watched, with one hub."""
    lake = Lake(tmp_path_factory.mktemp("drift"))
    put(lake.results("hubs"), [{"id": "tel_agent", "joins": False, "as_of_date": night(0)}], {
        "id": pa.string(), "joins": pa.bool_(), "as_of_date": pa.date32(),
    }, "as_of_date")  # fmt: skip
    for number in (0, 1):
        deliver(lake, night(number))
    return lake


def watched(spark: SparkSession, lake: Lake, number: int) -> list[DriftFigure]:
    return drift(spark, lake, night(number), end(night(number)), SETTINGS)


def test_each_drift_is_named_with_its_source_its_channel_and_its_day(spark: SparkSession, lake: Lake) -> None:
    first = watched(spark, lake, 0)
    assert {f.status for f in first} == {"no_reference"}
    assert not any(f.group == "works_at" for f in first)
    same = watched(spark, lake, 1)
    assert {f.status for f in same} == {"ok"}
    assert {f.psi for f in same} == {0.0}
    assert {f.metric for f in same} == {
        "rows", "nulls", "channel", "degree", "event_age", "edge_mix", "hub_mass", "feature", "ring_score", "ring_size",
        "ring_typology", "community_size",
    }  # fmt: skip

    deliver(lake, night(2), late=True, mask=True)
    found = watched(spark, lake, 2)
    assert alarms(found) == {
        "nulls applications.phone": "source applications, column phone, delivery 2026-06-03",
        "event_age lists_contact": "source contacts (type lists_contact), event day 2026-05-25",
    }
    again = watched(spark, lake, 2)
    assert again == found
    stored = DeltaTable(lake.results("drift")).to_pyarrow_table().to_pylist()
    assert len({(row["night"], row["metric"], row["group"]) for row in stored}) == len(stored)
    assert {row["night"] for row in stored} == {night(0), night(1), night(2)}

    deliver(lake, night(3), agent=True)
    told = alarms(watched(spark, lake, 3))
    assert told["hub_mass lists_contact"] == "source contacts (type lists_contact), delivery 2026-06-04"
    assert told["ring_score"] == "ring_score, night 2026-06-04"
    assert "event_age lists_contact" not in told or "05-25" not in told["event_age lists_contact"]


def test_an_empty_lake_has_no_drift_and_no_error(spark: SparkSession, tmp_path: Path) -> None:
    for number in (0, 1):
        assert drift(spark, Lake(tmp_path), night(number), end(night(number))) == []


def test_scores_of_one_night_add_up_and_other_models_and_nights_stay(tmp_path: Path) -> None:
    lake, night = Lake(tmp_path), date(2026, 6, 30)

    def told(day: date, model: str, counts: dict[str, int]) -> Histogram:
        return add(lake, day, Histogram(MODEL_SCORES, model, counts, ordered=True))

    told(night, "m-1", {"-inf": 3, "0.2": 1})
    told(night, "m-2", {"0.5": 7})
    told(night + timedelta(days=1), "m-1", {"-inf": 9})
    whole = told(night, "m-1", {"0.2": 2, "empty": 1})
    assert whole.counts == {"-inf": 3, "0.2": 3, "empty": 1}
    before = DeltaTable(lake.results("drift")).version()
    assert told(night, "m-1", {}) == whole
    assert DeltaTable(lake.results("drift")).version() == before
    rows = DeltaTable(lake.results("drift")).to_pyarrow_table().to_pylist()
    kept = {(row["night"], row["group"]): dict(zip(row["bins"], row["counts"], strict=True)) for row in rows}
    assert len(rows) == len(kept)
    assert kept == {
        (night, "m-1"): {"-inf": 3, "0.2": 3, "empty": 1}, (night, "m-2"): {"0.5": 7},
        (night + timedelta(days=1), "m-1"): {"-inf": 9},
    }  # fmt: skip
