"""Graph features equal counting by hand, and nothing that happened or was delivered later changes one of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from algorithms.features import neighbors
from algorithms.features.build import DaysRunBackwardError, NoApplicationsError, build
from algorithms.features.catalogue import FEATURES, page
from graph.lake import Lake
from tests.algorithms.features_by_hand import CAP, DAY, HOUR, NOON, SPAN, ByHand, Row, World, random_world, read, write

# A small world in view: ring-like p1 and p2 on one handset, and p3 who applies at noon from it.


def small_world() -> World:
    day = NOON.date()

    def on(delivered_on: date = day, **values: object) -> Row:
        return {"delivered_on": delivered_on, **values}

    def application(n: int, at: datetime, **values: object) -> Row:
        return on(application_id=f"ap{n}", applicant_id=f"a{n}", applied_at=at, **values)

    return {
        "applications": [
            application(1, NOON - 40 * DAY, device_id="dev", channel="shop", phone="tel1"),
            application(2, NOON - 7 * DAY, device_id="dev", channel="shop", phone="tel2", address="home"),
            application(4, NOON - 9 * DAY, address="home", phone="tel4"),
            application(3, NOON, device_id="dev", channel="shop", phone="tel3", bank_card="card")
            | {"delivered_on": day + DAY},
        ],
        "contacts": [
            on(applicant_id="a3", contact_phone="tel1", emergency=True, captured_at=NOON - HOUR),
            on(applicant_id="a3", contact_phone="tel9", emergency=False, captured_at=NOON - HOUR),
            on(applicant_id="a2", contact_phone="tel3", emergency=False, captured_at=NOON - HOUR),
        ],
        "calls": [
            on(phone="tel2", other_phone="agent", direction="out", started_at=NOON - 8 * DAY),
            on(phone="tel3", other_phone="agent", direction="out", started_at=NOON - HOUR),
            on(phone="tel3", other_phone="tel1", direction="in", started_at=NOON - 35 * DAY),
        ],
        "labels": [
            on(applicant_id="a1", label="fraud", confirmed_at=NOON - 10 * DAY),
            on(applicant_id="a2", label="fraud", confirmed_at=NOON),  # at the moment itself: not known
            on(applicant_id="a4", label="fraud", confirmed_at=NOON - DAY),
        ],
        "loans": [on(loan_id="l2", applicant_id="a2", disbursed_at=NOON - 6 * DAY)],
        "repayments": [
            on(loan_id="l2", due_at=NOON - DAY, due_cny=9.0, paid_at=NOON + DAY, paid_cny=9.0),  # paid since
        ],
        "phones": [on(phone="tel3", opened_at=NOON - 3 * DAY, observed_at=NOON - DAY)],
        "applicant_person": [on(applicant_id=f"a{n}", person_id=f"p{n}") for n in (1, 2, 3, 4)],
        "rings": [{"ring_id": "r", "as_of_date": day - DAY, "score": 0.9, "size": 2}],
        "ring_members": [{"ring_id": "r", "as_of_date": day - DAY, "person_id": "p1", "score": 0.7}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def small(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Row], dict[str, Row]]:
    """The table by event time alone, and after its last day was built again by delivery."""
    lake = write(tmp_path_factory.mktemp("small"), small_world())
    first, last = (NOON - 9 * DAY).date(), NOON.date()
    assert build(spark, lake, first, last, by_delivery=False) == {"application_graph": 3, "passes": 1}
    before = read(spark, lake)
    assert build(spark, lake, last, last) == {"application_graph": 1, "passes": 1}
    return before, read(spark, lake)


def test_a_small_world_gives_the_expected_numbers(small: tuple[dict[str, Row], dict[str, Row]]) -> None:
    row = small[1]["ap3"]
    expected: Row = {
        "person_id": "p3", "applied_on": NOON.date(), "by_delivery": True,
        "device_neighbor_count": 2, "device_neighbor_1d_count": 0, "device_neighbor_7d_count": 1,
        "device_neighbor_7d_ratio": 0.5, "device_neighbor_90d_count": 2, "device_fraud_count": 1,
        "device_fraud_ratio": 0.5, "device_overdue_count": 1, "device_overdue_ratio": 1.0,
        "device_first_seen_days": 40.0, "device_application_1d_count": 0, "device_application_7d_count": 1,
        "channel_neighbor_count": 2, "bank_card_neighbor_count": 0, "bank_card_fraud_ratio": None,
        "imei_neighbor_count": None, "listed_by_neighbor_count": 1, "phone_neighbor_count": 0,
        "neighbor_count": 2, "neighbor_30d_count": 1, "neighbor_latest_days": 7.0, "neighbor_kind_max_count": 1,
        "neighbor_fraud_ratio": 0.5, "neighbor_ring_count": 1, "hub_count": 0,
        "second_hop_count": 1, "second_hop_max_count": 1, "second_hop_mean_count": 0.5, "second_hop_fraud_ratio": 1.0,
        "call_counterpart_count": 2, "call_30d_count": 1, "call_out_ratio": 0.5, "call_applicant_ratio": 0.5,
        "call_agent_30d_ratio": 1.0, "call_agent_number_30d_count": 1, "call_agent_applicant_max_count": 1,
        "contact_count": 2, "contact_applicant_ratio": 0.5, "contact_called_ratio": 0.5, "contact_shared_ratio": 0.0,
        "emergency_contact_count": 1, "emergency_applicant_count": 1, "emergency_shared_count": 0,
        "phone_age_days": 3.0, "ring_member": False, "ring_score": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_only_the_days_asked_are_written_again_and_the_same_rows_give_the_same_numbers(
    small: tuple[dict[str, Row], dict[str, Row]],
) -> None:
    before, after = small
    assert sorted(before) == ["ap2", "ap3", "ap4"]
    assert {name: row["by_delivery"] for name, row in after.items()} == {"ap2": False, "ap3": True, "ap4": False}
    assert after["ap2"] == before["ap2"]
    # All but the own row of ap3 came by its day: here the delivery makes no difference.
    assert after["ap3"] | {"by_delivery": False} == before["ap3"]


def test_a_lake_without_applications_and_days_that_run_backward_are_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(NoApplicationsError, match="Run a night"):
        build(spark, Lake(tmp_path), NOON.date(), NOON.date())
    with pytest.raises(DaysRunBackwardError, match="backward"):
        build(spark, Lake(tmp_path), NOON.date(), (NOON - DAY).date())


def test_the_catalogue_page_is_what_the_code_says() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)
    written = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
    assert written == page(), "docs/features.md is old: run `python -m algorithms features catalogue`"


@pytest.fixture(autouse=True, scope="module")
def _few_persons_make_a_hub() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "PAIR_CAP", CAP)
        yield


FIRST, LAST = (NOON - 12 * DAY).date(), (NOON - DAY).date()


def own_rows(world: World, by_delivery: bool) -> list[Row]:
    return [
        row for row in world["applications"]
        if FIRST <= row["applied_at"].date() <= LAST and (by_delivery or row["ended_on"] is None)
    ]  # fmt: skip


@pytest.mark.parametrize("by_delivery", [True, False], ids=["by_delivery", "by_event_time"])
def test_with_a_future_planted_every_feature_is_what_counting_by_hand_gives_without_it(
    by_delivery: bool, spark: SparkSession, tmp_path: Path
) -> None:
    world = random_world(7)
    lake = write(tmp_path, planted_future(world, by_delivery))
    build(spark, lake, FIRST, LAST, by_delivery)
    found = read(spark, lake)
    mine = own_rows(world, by_delivery)
    assert len(mine) >= 5
    wrong = {}
    for row in mine:
        hand = ByHand(world, row, by_delivery)
        expected = dict.fromkeys((feature.name for feature in FEATURES), None) | hand.features()
        got = found[row["application_id"]]
        wrong |= {
            (row["application_id"], n): (got[n], v) for n, v in expected.items() if got[n] != v
        }  # to the last bit
        assert got["person_id"] == hand.person_id
    assert not wrong  # to the last bit
    filled = {name for row in found.values() for name, value in row.items() if value not in (None, 0)}
    assert len(filled) > 100  # these are not empty rows


def test_the_planted_future_is_one_that_a_leak_would_show() -> None:
    world = random_world(7)
    clean, planted = ({}, {}), planted_future(world, by_delivery=False)  # type: ignore[var-annotated]
    for row in own_rows(world, by_delivery=False):
        for seen, shown in zip(clean, (world, planted), strict=True):
            leaking = row | {"applied_at": NOON}  # as if T were later than it is
            hand = ByHand(shown, leaking, by_delivery=False).features()
            seen |= {(row["application_id"], name): value for name, value in hand.items()}
    assert len({name for name in clean[0] if clean[0][name] != clean[1].get(name)}) > 100


_DATED = {
    "applications": "applied_at", "devices": "event_at", "contacts": "captured_at", "calls": "started_at",
    "labels": "confirmed_at", "loans": "disbursed_at", "repayments": "due_at", "phones": "observed_at",
}  # fmt: skip


def planted_future(world: World, by_delivery: bool) -> World:
    """Copy every row into the time after the last application, delivered at once; and, where deliveries count, into
    the past, delivered after the last day, each with the opposite verdict; and replace every row the day after."""
    whole = deepcopy(world)
    last = max(row["applied_at"] for row in own_rows(world, by_delivery))
    tomorrow, early = LAST + DAY, (NOON - SPAN).date()
    for source, column in _DATED.items():
        for n, row in enumerate(world[source]):
            flipped = row | {"ended_on": None}
            for name in {"application_id"} & row.keys():
                flipped[name] = f"planted{n}"
            if source == "labels":
                flipped["label"] = "fraud" if row["label"] == "normal" else "normal"
            if source == "loans":
                flipped["loan_id"] = f"planted{n}"
            moved = {column: last + (n % 3) * timedelta(microseconds=1)}
            if source == "repayments":
                moved["paid_at"] = None
            whole[source].append(flipped | moved | {"delivered_on": early})
            if by_delivery:
                past = flipped | {column: row[column] - timedelta(minutes=n + 1), "delivered_on": tomorrow}
                whole[source].append(past | ({"application_id": f"late{n}"} if source == "applications" else {}))
    if by_delivery:
        for source in (*_DATED, "applicant_person"):
            for row in whole[source]:
                if row["ended_on"] is None and row["delivered_on"] < tomorrow:
                    row["ended_on"] = tomorrow
    for row in world["ring_members"]:
        whole["ring_members"].append(
            row | {"as_of_date": LAST, "person_id": "p1", "ring_id": f"future{row['ring_id']}"}
        )
    return whole
