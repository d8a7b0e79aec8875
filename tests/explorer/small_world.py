"""A small lake and its graph, as a night would leave them: four persons on one handset are a ring, a courier is none,
a borrower is lost. Rows lie in the real tables, with the columns of the night's own schemas."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from neo4j import Driver

from algorithms.rings.results import HITS, MEMBERS, RINGS
from graph.ledger import Ledger
from graph.rings import Evidence
from graph.schema import EDGES, NODE_BY_LABEL, EdgeType, Label
from graph.tokens import Kind
from graph.writer import ensure_schema, upsert_edges, upsert_nodes
from jobs.nightly import REPORT
from tests.algorithms.contact_world import NIGHT, NOON
from tests.algorithms.contact_world import World as ContactWorld

RING, YOUNG_RING = "ring_" + "5f" * 16, "ring_" + "a1" * 16
MEMBERS_OF_RING = ("per_A1", "per_A2", "per_A3", "per_A4")
STRANGERS = tuple(f"per_S{number:02}" for number in range(30))  # they list the courier, and nothing else binds them
_SCORES = pa.schema([
    ("application_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()),
    ("as_of_at", pa.timestamp("us", "UTC")), ("score", pa.float64()), ("model_version", pa.string()),
    ("reasons", pa.list_(pa.struct([("text", pa.string()), ("contribution", pa.float64())]))),
])  # fmt: skip


@dataclass(frozen=True)
class SmallWorld:
    """Where it lies, and the tokens that a test asks for."""

    folder: Path
    contact: ContactWorld
    device: str
    courier: str

    @property
    def lake(self) -> Path:
        """The lake's folder."""
        return self.contact.lake.root

    @property
    def keys(self) -> Path:
        """The file of the keys; the audit log lies beside it."""
        return self.folder / "keys.json"


def write_world(folder: Path) -> SmallWorld:
    """Write the lake: a lost borrower `wei` with two leads, two rings, a night's report and its ledger."""
    contact = ContactWorld(folder)
    contact.lost("wei")
    contact.gave_out("wei")
    contact.name("wei", "魏小明")
    contact.lead("wei", "wei's new", 0.7)
    contact.lead("wei", "wei's sister", 0.4, third=True)
    contact.same_human("per_wei", "wei")
    contact.tel("courier")
    contact.written()
    device = contact.keys.token(Kind.DEVICE_ID, "D-1")
    world = SmallWorld(folder, contact, device, contact.tel("courier"))
    results = contact.lake.results
    write_deltalake(results("rings"), pa.Table.from_pylist(_rings(world), schema=RINGS))
    write_deltalake(results("ring_members"), pa.Table.from_pylist(_members(), schema=MEMBERS))
    hit = {"as_of_date": NIGHT, "rules_version": 3, "rule": "shared_handset", "groups": 9, "rings": 1,
           "persons_with_verdict": 4, "fraud_ratio": 0.5}  # fmt: skip
    write_deltalake(results("ring_rules"), pa.Table.from_pylist([hit], schema=HITS))
    write_deltalake(results("applicant_scores"), pa.Table.from_pylist(_scores(), schema=_SCORES))
    write_deltalake(results("night_report"), pa.Table.from_pylist(_report(), schema=REPORT))
    _ledger(contact.lake.root)
    return world


def fill(driver: Driver, world: SmallWorld) -> None:
    """Put the graph of the world into an empty Neo4j."""
    ensure_schema(driver)
    at = {"first_seen_at": _seconds(NOON - timedelta(days=40)), "last_seen_at": _seconds(NOON - timedelta(days=1))}
    persons = (*MEMBERS_OF_RING, "per_A5", "per_wei", *STRANGERS)
    nodes: dict[Label, list[dict[str, Any]]] = {
        Label.PERSON: [{"id": id, "gender": "f", "birth_year": 1990, **at} for id in persons],
        Label.DEVICE: [{"id": world.device, "kind": "app", "os": "Android", "model": "M1", **at}],
        Label.PHONE: [{"id": world.courier, "kind": "mobile", **at}]
        + [{"id": world.contact.tel(id), "kind": "mobile", **at} for id in persons],
        Label.APPLICATION: [
            {"id": f"app_{n}", "applied_at": at["last_seen_at"], "amount_cny": 8000.0 + n, **at} for n in range(4)
        ],
        Label.LOAN: [{"id": "L-wei", "principal_cny": 9000.0, "status": "active", **at}],
        Label.RING: [_ring_node(row, at) for row in _rings(world)],
    }
    for label, rows in nodes.items():
        upsert_nodes(driver, NODE_BY_LABEL[label], rows)
    step = {"event_count": 2, **at}
    _link(driver, "USES_DEVICE", "Person", [(id, world.device, step) for id in MEMBERS_OF_RING])
    _link(driver, "USES_PHONE", "Person", [(id, world.contact.tel(id), step) for id in persons])
    _link(driver, "LISTS_CONTACT", "Person", [
        (id, world.courier, {**step, "last_seen_at": at["last_seen_at"] - n, "relation": "other"})
        for n, id in enumerate((*STRANGERS, "per_A5"))
    ])  # fmt: skip
    _link(driver, "LISTS_CONTACT", "Person", [("per_A5", world.contact.tel("per_A1"), {**step, "relation": "friend"})])
    _link(driver, "SUBMITTED", "Person", [(f"per_A{n + 1}", f"app_{n}", step) for n in range(4)])
    _link(driver, "FUNDED", "Application", [("app_0", "L-wei", step)])
    _link(driver, "MEMBER_OF", "Person", [
        (row["person_id"], row["ring_id"], {**at, "event_count": 1, "role": row["role"], "score": row["score"]})
        for row in _members()
    ])  # fmt: skip


def _link(driver: Driver, relationship: str, src: str, rows: list[tuple[str, str, dict[str, Any]]]) -> None:
    edge: EdgeType = next(e for e in EDGES if (e.relationship, e.src) == (relationship, src))
    upsert_edges(driver, edge, [{"src": a, "dst": b, **values} for a, b, values in rows])


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _evidence(world: SmallWorld) -> list[dict[str, Any]]:
    steps = [{"relationship": "USES_DEVICE", "src": id, "dst": world.device} for id in MEMBERS_OF_RING]
    told = Evidence("4 persons applied from one handset within 2 days.", (world.device, *MEMBERS_OF_RING), tuple(steps))
    without = Evidence("Without this handset the score falls from 0.91 to 0.22.", (world.device,), ())
    return [{"text": e["text"], "nodes": list(e["nodes"]), "relationships": list(e["relationships"])}
            for e in map(asdict, (told, without))]  # fmt: skip


def _rings(world: SmallWorld) -> list[dict[str, Any]]:
    first = {
        "ring_id": RING, "as_of_date": NIGHT, "status": "grown", "parent_ids": [], "score": 0.91, "size": 4,
        "typology": "device_fan_out", "first_seen_at": NOON - timedelta(days=40), "exposure_cny": 32006.0,
        "evidence": _evidence(world), "born_on": NIGHT - timedelta(days=3), "last_seen_at": NOON - timedelta(days=1),
        "rules_version": 3,
    }  # fmt: skip
    young = {**first, "ring_id": YOUNG_RING, "status": "born", "score": 0.55, "size": 2, "typology": "identity_kit",
             "exposure_cny": 16001.0, "evidence": [], "born_on": NIGHT}  # fmt: skip
    return [first, young]


def _members() -> list[dict[str, Any]]:
    rows = [(RING, id, "core" if n < 2 else "member") for n, id in enumerate(MEMBERS_OF_RING)]
    rows += [(YOUNG_RING, id, "core") for id in ("per_A4", "per_A5")]
    return [{"ring_id": ring, "as_of_date": NIGHT, "person_id": id, "role": role, "score": 0.9, "evidence": [],
             "first_seen_at": NOON - timedelta(days=40)} for ring, id, role in rows]  # fmt: skip


def _ring_node(row: dict[str, Any], at: dict[str, int]) -> dict[str, Any]:
    plain = {name: row[name] for name in ("status", "score", "size", "typology", "exposure_cny")}
    lineage = [{"date": str(row["born_on"]), "status": "born", "from": []}]
    if row["status"] != "born":
        lineage.append({"date": str(row["as_of_date"]), "status": row["status"], "from": []})
    days = {name: _day(row[name]) for name in ("as_of_date", "born_on")}
    return {"id": row["ring_id"], **at, **plain, **days, "parent_ids": "[]",
            "evidence": json.dumps(row["evidence"]), "lineage": json.dumps(lineage)}  # fmt: skip


def _day(day: date) -> int:
    return _seconds(datetime.combine(day, datetime.min.time(), UTC))


def _scores() -> list[dict[str, Any]]:
    reasons = [{"text": "The handset is shared by 4 applicants.", "contribution": 1.4}]
    return [{"application_id": f"app_{n}", "applicant_id": f"A{n + 1}", "person_id": f"per_A{n + 1}",
             "as_of_at": NOON - timedelta(days=1), "score": 0.8 - n / 10, "model_version": "trees_graph-2026-06-01",
             "reasons": reasons} for n in range(4)]  # fmt: skip


_STAGES = (
    ("ingest", 1200, {"files": 3, "reasons": {"masked_phone": 4}, "unknown_files": []}, 31.5),
    ("graph", 5400, {}, 22.0), ("hubs", 1, {}, 4.1), ("rings", 2, {"status": {"born": 1, "grown": 1}}, 9.0),
    ("features", 4, {}, 12.0), ("drift", 149, {"status": "green", "sentences": []}, 1.5), ("scores", 4, {}, 3.0),
    ("leads", 2, {"loans_looked_for": 1, "loans_with_lead": 1, "loans_allowed": 1}, 6.0),
    ("load", 5400, {"how": "full", "neo4j_equals_lake": True}, 40.0), ("report", 9, {}, 0.2),
)  # fmt: skip


def _report() -> list[dict[str, Any]]:
    return [{"night": NIGHT, "run": 1, "stage": stage, "rows_in": rows, "rows_out": rows, "rows_duplicate": 0,
             "rows_quarantined": 4 if stage == "ingest" else 0, "seconds": seconds, "details": json.dumps(details)}
            for stage, rows, details, seconds in _STAGES if stage != "report"]  # fmt: skip


def _ledger(lake: Path) -> None:
    ledger = Ledger(f"sqlite:///{lake / 'ledger.sqlite'}")
    command = "python -m jobs nightly run --date 2026-06-30 --landing landing --lake lake"
    for position, (stage, rows, details, seconds) in enumerate(_STAGES):
        ledger.begin(1, position, stage, str(NIGHT), None, {}, command)
        ledger.end(1, stage, seconds, {"rows_out": rows, **details})
