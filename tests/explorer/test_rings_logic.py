"""What lies behind the pages of rings: order and filters, places and budget, sentences, verdicts and their labels."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask, g

from algorithms.rings.conduct import FACTS
from algorithms.rings.evidence import _CALLED, _OF_ONE
from algorithms.rings.rules import sentence
from explorer.rings.listing import AskedWronglyError, Entry, Filters, as_csv, entries, filters, listing
from explorer.rings.picture import BUDGET, named_steps, picture
from explorer.rings.places import places
from explorer.rings.sentences import in_words
from explorer.rings.timeline import timeline
from explorer.rings.verdicts import Judged, Verdict
from graph.answers import Edge, End
from graph.rings import Evidence, Member, Ring, Step

NIGHT = dt.date(2026, 6, 30)
NOON = dt.datetime(2026, 7, 1, 4, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@dataclass
class Somebody:
    """A reader with roles."""

    roles: tuple[str, ...] = ("analyst",)
    name: str = "li"
    active: bool = True
    role_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.role_names = frozenset(self.roles)


ANALYST = Somebody()


def ring(id: str = "ring_a", members: tuple[str, ...] = ("per_1", "per_2"), **more: Any) -> Ring:
    given: dict[str, Any] = {
        "status": "same", "score": 0.5, "size": len(members), "typology": "device_fan_out", "exposure_cny": 1000.0,
        "as_of_date": NIGHT, "born_on": NIGHT - dt.timedelta(days=9), "first_seen_at": NOON, "last_seen_at": NOON,
        "parent_ids": (), "total": len(members),
        "members": tuple(Member(m, "core", 0.9, NOON, NOON, ()) for m in members),
    }  # fmt: skip
    return Ring(id, **given | more)


def link(type: str, src: str, dst: str, label: str = "Device", first: dt.datetime | None = NOON) -> Edge:
    return Edge(type, End("Person", src), End(label, dst), first, NOON + HOUR if first else None, 2, {})


def _judged(ring_id: str, day: dt.date) -> Judged:
    return Judged("v", ring_id, day, Verdict.CONFIRMED, "li", NOON, "", "", ())


@pytest.fixture
def chinese() -> Iterator[None]:
    with Flask("words").test_request_context():
        g.language = "zh"
        yield


# --- the list -----------------------------------------------------------------------------------------------------


def test_the_queue_is_what_nobody_has_judged_by_score_times_amount() -> None:
    rings = [
        ring("ring_a", score=0.9, exposure_cny=100.0),
        ring("ring_b", score=0.5, exposure_cny=1000.0),
        ring("ring_c"),
    ]
    judged = {"ring_c": _judged("ring_c", NIGHT)}
    found = listing(entries(rings, judged), Filters(), NIGHT, None)
    assert [entry.ring.id for entry in found.entries] == ["ring_b", "ring_a"]
    assert (found.total, found.counts["queue"], found.counts["judged"]) == (3, 2, 1)


def test_a_ring_that_changed_after_its_verdict_waits_again() -> None:
    grown = ring(status="grown")
    before, same_night = _judged("ring_a", NIGHT - dt.timedelta(days=1)), _judged("ring_a", NIGHT)
    assert [entry.waits for entry in entries([grown], {"ring_a": before})] == [True]
    assert [entry.waits for entry in entries([grown], {"ring_a": same_night})] == [False]


def test_changed_is_told_since_last_night_and_since_the_reader_looked() -> None:
    old = ring(
        "ring_old",
        lineage=(Step("2026-06-20", "born", ()), Step("2026-06-27", "grown", ()), Step("2026-06-30", "same", ())),
    )
    new = ring("ring_new", status="born", lineage=(Step("2026-06-30", "born", ()),))
    quiet = ring("ring_quiet", lineage=(Step("2026-06-01", "born", ()),))
    known = entries([old, new, quiet], {})

    def ids(view: Any, looked: dt.date | None) -> set[str]:
        return {entry.ring.id for entry in listing(known, Filters(view=view), NIGHT, looked).entries}

    assert ids("night", None) == {"ring_new"}
    assert ids("looked", dt.date(2026, 6, 25)) == {"ring_old", "ring_new"}
    assert ids("looked", NIGHT) == set()
    assert ids("looked", None) == {"ring_old", "ring_new", "ring_quiet"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"typology": ["phone_farm"]}, {"ring_b"}), ({"status": ["born"]}, {"ring_b"}),
        ({"min_score": 0.7}, {"ring_c"}),
        ({"min_size": 3}, {"ring_c"}), ({"text": "RING_A"}, {"ring_a"}), ({"text": "phone farm"}, {"ring_b"}),
        ({}, {"ring_a", "ring_b", "ring_c"}), ({"text": "nothing like it"}, set()),
    ],
)  # fmt: skip
def test_each_filter_keeps_what_it_says(given: dict[str, Any], kept: set[str]) -> None:
    rings = [
        ring("ring_a"), ring("ring_b", typology="phone_farm", status="born"),
        ring("ring_c", ("per_1", "per_2", "per_3"), score=0.8),
    ]  # fmt: skip
    found = listing(entries(rings, {}), filters({"view": "all", **given}), NIGHT, None)
    assert {entry.ring.id for entry in found.entries} == kept


@pytest.mark.parametrize(
    "given",
    [{"view": "'; DROP TABLE"}, {"min_score": "NaN"}, {"min_size": -1}, {"other": 1}, {"text": "x" * 101}, [1], "x"],
)
def test_filters_that_are_none_are_refused_without_being_repeated(given: Any) -> None:
    with pytest.raises(AskedWronglyError) as told:
        filters(given)
    assert "DROP" not in str(told.value)


def test_orders_are_by_score_by_amount_and_by_newest_change() -> None:
    rings = [
        ring("ring_a", score=0.9, exposure_cny=1.0, last_seen_at=NOON),
        ring("ring_b", score=0.1, exposure_cny=9.0, last_seen_at=None),
        ring("ring_c", score=0.5, exposure_cny=5.0, last_seen_at=NOON + HOUR),
    ]  # fmt: skip

    def order(name: Any) -> str:
        found = listing(entries(rings, {}), Filters(view="all", order=name), NIGHT, None)
        return "".join(entry.ring.id[-1] for entry in found.entries)

    assert (order("score"), order("exposure"), order("newest")) == ("acb", "bca", "cab")


def test_the_file_holds_no_formula_and_no_score_for_whom_it_is_not() -> None:
    entry = Entry(ring(typology="=HYPERLINK(1)"), None, None)
    rows = list(csv.DictReader(io.StringIO(as_csv(ANALYST, [entry]).removeprefix("\ufeff"))))
    assert rows[0]["Typology"] == "'=HYPERLINK(1)"
    assert (rows[0]["Score"], rows[0]["Amount at risk"]) == ("0.5", "1000")
    for_others = list(csv.DictReader(io.StringIO(as_csv(Somebody(("collector",)), [entry]).removeprefix("\ufeff"))))
    assert (for_others[0]["Score"], for_others[0]["Amount at risk"]) == ("", "")


# --- the picture --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "shared", "own"), [(1, 0, 0), (2, 1, 0), (5, 1, 3), (4, 40, 0), (100, 3, 0), (60, 0, 2)]
)
def test_no_two_nodes_of_a_picture_lie_on_each_other(members: int, shared: int, own: int) -> None:
    people = [f"m{n}" for n in range(members)]
    links = [(m, f"s{n}") for m in people for n in range(shared)]
    links += [(m, f"{m}o{n}") for m in people for n in range(own)]
    others = list(dict.fromkeys(end for _, end in links))
    found = places(people, others, links)
    assert found.keys() == {*people, *others}
    nearest = min((math.dist(a, b) for a, b in itertools.combinations(found.values(), 2)), default=99)
    assert nearest > 24
    assert found == places(people, others, links)


def test_members_who_share_stand_side_by_side_and_what_is_ones_own_lies_outside() -> None:
    links = [("a", "x"), ("c", "x"), ("b", "y"), ("d", "y"), ("a", "own"), ("own", "far")]
    found = places(["a", "b", "c", "d"], ["x", "y", "own", "far"], links)
    assert math.dist(found["a"], found["c"]) < math.dist(found["a"], found["b"]) + 1e-6
    distance = {key: math.hypot(*place) for key, place in found.items()}
    assert distance["x"] < distance["a"] < distance["own"] < distance["far"]


def test_a_sentence_lights_its_relationships_with_both_ends_and_the_nodes_it_names() -> None:
    step = {"relationship": "USES_DEVICE", "src": "per_1", "dst": "dev_1"}
    told = Evidence("They share one.", ("per_2",), (step,))
    found = picture(ANALYST, ring(evidence=(told,)), [link("USES_DEVICE", "per_1", "dev_1")], [])
    (lit,) = found.evidence
    assert set(lit.keys) == {"Person:per_1", "Device:dev_1", "Person:per_2", "USES_DEVICE Person:per_1 Device:dev_1"}
    assert (lit.drawn, lit.named) == (2, 2)
    assert set(lit.keys) <= {element["data"]["id"] for element in found.elements}


def test_a_picture_keeps_to_its_budget_and_counts_what_is_left_out() -> None:
    people = tuple(f"per_{n:03}" for n in range(250))
    named = [link("USES_DEVICE", person, "dev_1") for person in people[:50]]
    binding = [link("SEEN_ON", person, f"net_{n}", "Network") for n in range(8) for person in people]
    found = picture(ANALYST, ring(members=people), named, binding)
    assert len(found.elements) <= BUDGET
    nodes = [element for element in found.elements if "source" not in element["data"]]
    edges = [element for element in found.elements if "source" in element["data"]]
    persons = [element for element in nodes if element["data"]["label"] == "Person"]
    assert found.members_left == 250 - len(persons) > 0
    assert found.links_left == len(named) + len(binding) - len(edges) > 0
    keys = {element["data"]["id"] for element in nodes}
    assert {end for e in edges for end in (e["data"]["source"], e["data"]["target"])} <= keys
    first = {edge.src.id for edge in found.drawn if edge.relationship == "USES_DEVICE"}
    assert len(first) == 50  # what the evidence names comes before all else


def test_tokens_are_short_in_a_picture_and_its_descriptions() -> None:
    token = "dev_" + "0123456789abcdef" * 2
    found = picture(ANALYST, ring(), [link("USES_DEVICE", "per_1", token)], [])
    texts = [element["data"].get(name, "") for element in found.elements for name in ("text", "told")]
    assert not any(token in text for text in texts)
    assert any("dev ••••cdef" in text for text in texts)


def test_who_may_not_see_persons_sees_no_picture() -> None:
    found = picture(Somebody(("collector",)), ring(), [link("USES_DEVICE", "per_1", "dev_1")], [])
    assert not found.elements


def test_what_evidence_names_is_asked_for_once_and_a_strange_item_is_left_out() -> None:
    step = {"relationship": "USES_DEVICE", "src": "per_1", "dst": "dev_1"}
    odd = Evidence("?", (), (step, "text", {"src": "per_1"}))
    member = Member("per_1", "core", 0.9, None, None, (Evidence("!", (), (step,)),))
    assert named_steps(replace(ring(evidence=(odd,)), members=(member,))) == [("USES_DEVICE", "per_1", "dev_1")]


def test_the_timeline_has_a_lane_for_each_kind_of_link_and_none_without_times() -> None:
    edges = [
        link("USES_DEVICE", "per_1", "dev_1"),
        link("USES_DEVICE", "per_2", "dev_1"),
        link("SEEN_ON", "per_1", "net_1", "Network"),
    ]
    figure = timeline(edges)
    assert figure is not None
    assert sorted(figure["layout"]["yaxis"]["ticktext"]) == ["seen on (1)", "uses device (2)"]
    assert sum(len(trace["x"]) for trace in figure["data"]) == 3 * len(edges)
    assert timeline([link("USES_DEVICE", "per_1", "dev_1", first=None)]) is None


# --- sentences ----------------------------------------------------------------------------------------------------


def _shipped() -> list[str]:
    rules = yaml.safe_load(Path("algorithms/rules/rings.yml").read_text())
    names = ("card", "handset", "listed", "address_top", "talk", "same_human", "kin")
    figures: dict[str, Any] = {f"{name}_ratio": 0.5 for name in names}
    figures |= {"persons": 1200, "node_persons": 9, "events_mean": 5.5, "hub_kind": "courier"}
    spans = [{"span_days": days} for days in (12.0, 0.3, 0.01)]
    found = [
        sentence(rule["says"], figures | span)
        for rule in (*rules["typologies"], *rules["remarks"]) for span in spans
    ]  # fmt: skip
    found += [fact.says.format(count=3, known=5) + "." for fact in FACTS]
    found += [f"Without this {name} the score falls from 0.91 to 0.22." for name in {*_CALLED.values(), "node"}]
    found += [f"Tied to the {name} that 4 of the ring share." for name in {*_CALLED.values(), "node"}]
    found.append("No single node carries it: without any one of them the score is 0.99 or more.")
    for facts in [list(_OF_ONE.values()), *itertools.permutations(_OF_ONE.values(), 2)]:
        text = "; ".join(facts)
        found.append(text[0].upper() + text[1:] + ".")
    return found


def test_every_sentence_that_the_shipped_rules_can_say_is_said_in_chinese(chinese: None) -> None:
    for text in _shipped():
        said, spoken = in_words(text)
        assert spoken == "zh", text
        assert not re.search("[a-z]{3}", said.removeprefix("SIM")), said
        assert all(number in said for number in ("1,200",) if number in text)


def test_a_sentence_of_a_lenders_own_rule_is_shown_as_it_was_written(chinese: None) -> None:
    assert in_words("They all like blue.") == ("They all like blue.", "en")
    assert in_words("Confirmed fraud; likes blue.") == ("Confirmed fraud; likes blue.", "en")
