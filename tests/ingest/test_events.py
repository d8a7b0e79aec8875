"""Each relationship of the contract appears from the rows that say it, and from no other."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from graph.identifiers import canonical
from graph.schema import LANDED_EDGES, LANDED_NODES, Label
from graph.tokens import LABEL_KIND, Keys, Kind
from ingest.cleaning import row_schema
from ingest.events import applicants, edge_events, node_events
from ingest.files import landing_files
from ingest.landing import Part, process
from ingest.mapping import Mapping
from ingest.raw import raw_schema
from ingest.sources import SOURCES

FIRST, SECOND, ENDED = date(2024, 6, 2), date(2024, 6, 4), date(2024, 6, 9)
ID, OTHER_ID = "11010519491231002X", "110105198001010016"
HANDSET, SIM, NO_HANDSET = "490154203237518", "89860012345678901237", "000000000000000"
# Two ids of each label, as another system names them; a relation of each kind joins the first to the second.
ENDS: dict[str, tuple[str, str]] = {label: (f"{label} one", f"{label} two") for label in Label} | {
    Label.PHONE: ("13700137001", "13700137002"),
    Label.NETWORK: ("198.51.100.1", "198.51.100.2"),
}
LANDING = {
    "applications": (
        "application_id,applicant_id,id_number,gender,phone,device_id,imei,iccid,ip,wifi_bssid,address,employer,"
        "employer_phone,bank_card,channel,amount_cny,applied_at",
        f"ap1,a1,{ID},,13800138000,handset-1,{HANDSET},{SIM},203.0.113.5,a4:5e:60:11:22:33,北京市朝阳区建国路1号2单元301,"
        "某某科技有限公司,01065551234,6222021234567890128,agent-7,5000,2024-06-01T08:00:00Z",
        f"ap2,a2,,,138****0000,,{NO_HANDSET},,127.0.0.1,,,,,,,,2024-06-01T09:00:00Z",
    ),
    "devices": (
        "device_id,applicant_id,imei,iccid,os,ip,event_at",
        f"handset-1,a1,{HANDSET},{SIM},Android,203.0.113.5,2024-06-01T10:00:00Z",
        f"handset-2,a2,{NO_HANDSET},,iOS,,2024-06-01T11:00:00Z",
    ),
    "phones": (
        "phone,holder_id_number,iccid,imei,carrier,opened_at,closed_at,observed_at",
        f"13900139001,{ID},{SIM},{HANDSET},CMCC,2020-01-01,2024-05-01,2024-06-01T12:00:00Z",
        f"13900139002,{OTHER_ID},,,,2021-01-01,,2024-06-01T12:00:00Z",
        "13900139003,,,,,,,2024-06-01T12:00:00Z",
    ),
    "contacts": (
        "applicant_id,contact_phone,contact_name,relation,emergency,captured_at,op",
        "a1,13900139001,妈妈,parent,true,2024-06-01T08:05:00Z,",
        "a1,95588,,other,false,2024-06-01T08:05:00Z,",
        "a1,139****9001,,friend,,2024-06-01T08:05:00Z,",
        "a1,13900139009,,friend,,2024-06-01T08:05:00Z,delete",
    ),
    "calls": (
        "phone,other_phone,direction,started_at,duration_s",
        "13800138000,13900139001,out,2024-06-01T01:00:00Z,60",
        "13800138000,13900139001,out,2024-06-01T02:00:00Z,0",
        "13800138000,13900139001,in,2024-06-01T03:00:00Z,30",
        "13800138000,13800138000,out,2024-06-01T04:00:00Z,5",
        "13800138000,4008001234,out,2024-06-01T05:00:00Z,7",
    ),
    "loans": (
        "loan_id,application_id,applicant_id,disbursed_at,principal_cny",
        "ln1,ap1,a1,2024-06-01T09:00:00Z,5000",
    ),
    "repayments": ("loan_id,due_at,due_cny,paid_at,paid_cny", "ln1,2024-07-01,500,,"),
    "contact_attempts": (
        "attempt_id,loan_id,applicant_id,phone,attempted_at,outcome",
        "at1,ln1,a5,13800138000,2024-06-01T12:00:00Z,no_answer",
    ),
    "labels": ("applicant_id,label,confirmed_at", "a6,fraud,2024-06-01T12:00:00Z"),
    "relations": (
        "from_kind,from_id,relation,to_kind,to_id,at,amount_cny,score",
        *(
            f"{e.src},{ENDS[e.src][0]},{e.relationship},{e.dst},{ENDS[e.dst][1]},2024-06-01T12:00:00Z,250,0.5"
            for e in LANDED_EDGES
        ),
    ),
}  # fmt: skip
# Delivered two days later: the holder of the second number applies, in a row that a third delivery ends.
LATER = ("application_id,applicant_id,id_number,applied_at", f"ap3,a3,{OTHER_ID},2024-06-03T08:00:00Z")


@dataclass
class Built:
    """Rows of every `_events` table, by table."""

    keys: Keys
    edges: dict[str, list[dict[str, Any]]]
    nodes: dict[str, list[dict[str, Any]]]
    applicants: dict[str, tuple[str, date]]

    def token(self, kind: Kind, raw: str) -> str:
        value = canonical(kind, raw).value
        assert value is not None
        return self.keys.token(kind, value)

    def tel(self, raw: str) -> str:
        return self.token(Kind.PHONE, raw)

    def related(self, label: str, end: int) -> str:
        kind = LABEL_KIND.get(Label(label))
        if kind is None:
            return ENDS[label][end]
        value = canonical(kind, ENDS[label][end]).value or canonical(Kind.ACCOUNT, ENDS[label][end]).value
        assert value is not None
        return self.keys.token(kind, value)

    def links(self, table: str) -> Counter[tuple[str, str]]:
        """Events by their ends, without the one that `relations` brought."""
        edge = next(e for e in LANDED_EDGES if e.table == table)
        found = Counter((row["src"], row["dst"]) for row in self.edges[table])
        found.subtract([(self.related(edge.src, 0), self.related(edge.dst, 1))])
        return +found


def told(rows: DataFrame, table: str, names: tuple[str, ...]) -> DataFrame:
    """One shape for all tables, so that one Spark job answers for all of them."""
    return rows.select(F.lit(table).alias("table"), F.to_json(F.struct(*names, F.struct("*").alias("row"))).alias("j"))


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("events")
    landing, staging, key_file = root / "landing", root / "staging", root / "keys.json"
    keys = Keys.create(key_file)
    for day, source, rows in [(FIRST, *item) for item in LANDING.items()] + [(SECOND, "applications", LATER)]:
        folder = landing / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{source}.csv").write_text("\n".join([*rows, ""]))
    for file, _ in landing_files(landing, Mapping(), SECOND):
        assert file is not None
        counts = process(Part(file), Mapping(), staging, key_file)
        assert counts.quarantined == (1 if file.source == "contacts" else 0), counts.reasons

    def raw(source: str) -> DataFrame:
        rows = spark.read.schema(_typed(source)).parquet(str(staging / source / "rows"))
        if source != "applications":
            return rows.withColumn("ended_on", F.lit(None).cast("date"))
        return rows.withColumn("ended_on", F.when(F.col("application_id") == "ap3", F.lit(ENDED)))

    parts = [told(edge_events(raw, edge), edge.table, ("src", "dst")) for edge in LANDED_EDGES]
    for node in LANDED_NODES:
        events = node_events(raw, node)
        parts += [told(events, node.table, ("id",))] if events is not None else []
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in reduce(lambda a, b: a.unionByName(b), parts).coalesce(2).collect():
        tables.setdefault(row["table"], []).append(json.loads(row["j"])["row"])
    people = {row["applicant_id"]: (row["person_id"], row["delivered_on"]) for row in applicants(raw).collect()}
    edge_tables = {edge.table for edge in LANDED_EDGES}
    return Built(
        keys,
        {name: rows for name, rows in tables.items() if name in edge_tables},
        {name: rows for name, rows in tables.items() if name not in edge_tables},
        people,
    )


def _typed(source: str) -> Any:
    names = row_schema(SOURCES[source]).names
    return type(whole := raw_schema(SOURCES[source]))([whole[name] for name in names])


def test_every_kind_of_relation_brings_its_edge_with_amount_or_score(built: Built) -> None:
    for edge in LANDED_EDGES:
        ends = built.related(edge.src, 0), built.related(edge.dst, 1)
        (row,) = (row for row in built.edges[edge.table] if (row["src"], row["dst"]) == ends)
        assert row["delivered_on"] == FIRST.isoformat()
        for value in edge.values:
            assert row.get(value.name) == {"amount_cny": 250, "score": 0.5}.get(value.name), edge.table


def test_an_application_and_a_login_bring_the_edges_around_a_person(built: Built) -> None:
    device, imei = built.token(Kind.DEVICE_ID, "handset-1"), built.token(Kind.IMEI, HANDSET)
    second = built.token(Kind.DEVICE_ID, "handset-2")
    employer = built.token(Kind.COMPANY, "某某科技有限公司")
    room, house = (built.token(Kind.ADDRESS, "北京市朝阳区建国路1号" + unit) for unit in ("2单元301", ""))
    card = built.token(Kind.BANK_CARD, "6222021234567890128")
    ip, wifi = built.token(Kind.IP, "203.0.113.5"), built.token(Kind.WIFI, "a4:5e:60:11:22:33")
    assert built.links("person_submitted") == {("a1", "ap1"): 1, ("a2", "ap2"): 1, ("a3", "ap3"): 1}
    assert built.links("company_submitted") == {}
    assert built.links("funded") == {("ap1", "ln1"): 1}
    assert built.links("uses_device") == {("a1", device): 2, ("a1", imei): 2, ("a2", second): 1}
    assert built.links("lives_at") == {("a1", room): 1, ("a1", house): 1}
    assert built.links("works_at") == {("a1", employer): 1}
    assert built.links("has_phone") == {(employer, built.tel("01065551234")): 1}
    assert built.links("paid_with") == {("a1", card): 1}
    assert built.links("seen_on") == {("a1", ip): 2, ("a1", wifi): 1}
    assert built.links("referred_by") == {("ap1", "agent-7"): 1}


def test_a_sim_is_held_by_handset_and_by_number(built: Built) -> None:
    device, imei = built.token(Kind.DEVICE_ID, "handset-1"), built.token(Kind.IMEI, HANDSET)
    sim = built.token(Kind.ICCID, SIM)
    # Application and log-in say it of both names of the handset, the carrier's report of the IMEI alone.
    assert built.links("device_holds_sim") == {(device, sim): 2, (imei, sim): 3}
    assert built.links("phone_holds_sim") == {(built.tel("13900139001"), sim): 1}


def test_a_reported_number_is_its_holders_once_both_rows_are_known(built: Built) -> None:
    said = {(row["src"], row["dst"]): row for row in built.edges["uses_phone"]}
    assert built.links("uses_phone") == {
        ("a1", built.tel("13800138000")): 1, ("a1", built.tel("13900139001")): 1, ("a3", built.tel("13900139002")): 1,
    }  # fmt: skip
    reported = said["a1", built.tel("13900139001")]
    assert [reported[name][:10] for name in ("held_from", "held_to")] == ["2020-01-01", "2024-05-01"]
    assert (reported["at"][:19], reported["delivered_on"]) == ("2024-06-01T12:00:00", FIRST.isoformat())
    later = said["a3", built.tel("13900139002")]
    assert (later["at"][:19], later["delivered_on"]) == ("2024-06-03T08:00:00", SECOND.isoformat())
    assert later["ended_on"] == ENDED.isoformat()  # with the application that named the holder
    assert "held_to" not in later


def test_calls_run_from_caller_to_called_and_nobody_calls_himself(built: Built) -> None:
    own, mother, service = (built.tel(raw) for raw in ("13800138000", "13900139001", "4008001234"))
    assert built.links("called") == {(own, mother): 2, (mother, own): 1, (own, service): 1}
    by_start = {row["at"][11:13]: row for row in built.edges["called"] if row["src"] == own and row["dst"] == mother}
    assert {hour: (row["duration_s"], row["missed_count"]) for hour, row in by_start.items()} == {
        "01": (60, 0), "02": (0, 1),
    }  # fmt: skip


def test_contacts_carry_their_relation_and_a_name_that_is_a_role_is_told_apart(built: Built) -> None:
    assert built.links("lists_contact") == {("a1", built.tel("13900139001")): 1, ("a1", built.tel("95588")): 1}
    (mother,) = (row for row in built.edges["lists_contact"] if row["dst"] == built.tel("13900139001"))
    assert (mother["relation"], mother["emergency"], mother["contact_name"][:4]) == ("parent", True, "rol_")


def test_no_node_comes_from_a_mask_or_from_zeros_and_services_are_tagged(built: Built) -> None:
    kinds = {row["id"]: row["kind"] for row in built.nodes["phone"] if row.get("kind")}
    assert kinds[built.tel("95588")] == kinds[built.tel("4008001234")] == "service"
    assert kinds[built.tel("01065551234")] == "landline"
    assert built.tel("13800138000") not in kinds
    assert {row["id"]: row["carrier"] for row in built.nodes["phone"] if row.get("carrier")} == {
        built.tel("13900139001"): "CMCC"
    }
    assert all(not row["exists"] for name in ("phone", "device", "network") for row in built.nodes[name])
    never = {built.keys.token(kind, raw) for kind, raw in [(Kind.IMEI, NO_HANDSET), (Kind.IP, "127.0.0.1")]}
    ids = {row[end] for rows in built.edges.values() for row in rows for end in ("src", "dst")}
    ids |= {row["id"] for rows in built.nodes.values() for row in rows}
    assert never.isdisjoint(ids)
    assert not [text for text in ids if "*" in text or "one" in text.split("_")[-1:]]


def test_nodes_of_their_own_and_the_persons_behind_every_applicant(built: Built) -> None:
    assert {row["id"] for row in built.nodes["application"]} == {"ap1", "ap2", "ap3"}
    (loan,) = built.nodes["loan"]
    assert (loan["id"], loan["principal_cny"], loan["disbursed_at"][:10]) == ("ln1", 5000, "2024-06-01")
    first = [row for row in built.nodes["person"] if row["id"] == "a1" and row.get("birth_year")]
    assert [(row["birth_year"], row["gender"]) for row in first] == [(1949, "female")]
    assert {row["id"] for row in built.nodes["person"]} == {"a1", "a2", "a3", "a5", "a6"}
    related = {
        end for e in LANDED_EDGES for label, end in ((e.src, "Person one"), (e.dst, "Person two")) if label == "Person"
    }
    assert set(built.applicants) == {"a1", "a2", "a3", "a5", "a6"} | related
    assert built.applicants["a3"] == ("per_a3", SECOND)
    devices = {row["id"]: row.get("kind") for row in built.nodes["device"] if row.get("kind")}
    assert Counter(devices.values()) == {"app": 2, "imei": 1}
    assert Counter(kind for _, kind in {(row["id"], row["kind"]) for row in built.nodes["network"]}) == {
        "ip": 1, "wifi": 1,
    }  # fmt: skip
    batch = {row["id"]: row["batch"] for row in built.nodes["device"] if row.get("batch")}
    assert batch == {built.token(Kind.IMEI, HANDSET): built.token(Kind.HANDSET_BATCH, HANDSET[:11])}
    room, house = (built.token(Kind.ADDRESS, "北京市朝阳区建国路1号" + unit) for unit in ("2单元301", ""))
    assert {(row["id"], row["kind"]) for row in built.nodes["address"]} == {(room, "unit"), (house, "house")}
    assert datetime.now(UTC).date() > SECOND  # none of the events above lies in the future
