"""Raw rows to dated edges and nodes: one function for each `_events` table of the graph.

Each takes `raw`, a function from a source's name to its rows (all versions, with `delivered_on` and `ended_on`),
and returns the columns of `graph.tables.edge_events_struct` or `node_events_struct`. A Person's end is still an
applicant here; `graph.as_of` puts persons in their place, so that entity resolution may change its mind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from graph.schema import EdgeType, NodeType
from graph.tables import edge_events_struct, node_events_struct
from ingest.sources import SOURCES

Raw = Callable[[str], DataFrame]


def _rows(raw: Raw, source: str) -> DataFrame:
    """Return the rows that say something; a derived column is null where the lake's rows are older than it."""
    rows = raw(source).where(F.col("op") == "upsert").withColumn("at", F.col(SOURCES[source].event_at))
    derived = {field.derived for field in SOURCES[source].fields if field.derived} - set(rows.columns)
    return rows.withColumns({name: F.lit(None).cast("string") for name in sorted(derived)})


def _link(rows: DataFrame, src: str | Column, dst: str | Column, **values: Column) -> DataFrame:
    """Return events from `src` to `dst`; a row without either says nothing about a link."""
    ends = rows.select(
        (F.col(src) if isinstance(src, str) else src).alias("src"),
        (F.col(dst) if isinstance(dst, str) else dst).alias("dst"),
        "at",
        "delivered_on",
        "ended_on",
        *(column.alias(name) for name, column in values.items()),
    )
    return ends.where(F.col("src").isNotNull() & F.col("dst").isNotNull())


def _all(*parts: DataFrame) -> DataFrame:
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), parts)


def _submitted(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "applications"), "applicant_id", "application_id")


def _funded(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "loans"), "application_id", "loan_id")


def _uses_phone(raw: Raw) -> DataFrame:
    """The number an applicant gave, and each number reported under an id number that an applicant gave.

    The second link is known only once both rows are: it dates from the later of the two, by event and delivery,
    and ends with the earlier end.
    """
    applications = _rows(raw, "applications")
    stated = _link(applications, "applicant_id", "phone")
    claims = (
        applications.where(F.col("id_number").isNotNull())
        .select(
            "applicant_id",
            F.col("id_number").alias("holder_id_number"),
            F.col("at").alias("claimed_at"),
            F.col("delivered_on").alias("claimed_on"),
            F.col("ended_on").alias("claim_ended_on"),
        )
        .distinct()
    )
    held = _rows(raw, "phones").join(claims, "holder_id_number")
    held = (
        held.withColumn("at", F.greatest("at", "claimed_at"))
        .withColumn("delivered_on", F.greatest("delivered_on", "claimed_on"))
        .withColumn("ended_on", F.least("ended_on", "claim_ended_on"))
        .where(F.col("ended_on").isNull() | (F.col("ended_on") > F.col("delivered_on")))
    )
    reported = _link(held, "applicant_id", "phone", held_from=F.col("opened_at"), held_to=F.col("closed_at"))
    return _all(stated, reported)


def _handsets(raw: Raw) -> DataFrame:
    """Both names of a handset, the app's device id and the IMEI: either may be shared while the other changes."""
    columns = ["applicant_id", "iccid", "ip", "wifi_bssid", "at", "delivered_on", "ended_on"]
    rows = [
        _rows(raw, source).select(*columns, F.explode(F.array_compact(F.array("device_id", "imei"))).alias("device"))
        for source in ("applications", "devices")
    ]
    return _all(*rows)


def _uses_device(raw: Raw) -> DataFrame:
    return _link(_handsets(raw), "applicant_id", "device")


def _device_holds_sim(raw: Raw) -> DataFrame:
    return _all(_link(_handsets(raw), "device", "iccid"), _link(_rows(raw, "phones"), "imei", "iccid"))


def _phone_holds_sim(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "phones"), "phone", "iccid")


def _lists_contact(raw: Raw) -> DataFrame:
    names = ("relation", "emergency", "contact_name")
    return _link(_rows(raw, "contacts"), "applicant_id", "contact_phone", **{name: F.col(name) for name in names})


def _called(raw: Raw) -> DataFrame:
    rows = _rows(raw, "calls")
    out = F.col("direction") == "out"
    return _link(
        rows,
        F.when(out, F.col("phone")).otherwise(F.col("other_phone")),
        F.when(out, F.col("other_phone")).otherwise(F.col("phone")),
        duration_s=F.col("duration_s"),
        missed_count=(F.col("duration_s") == 0).cast("long"),
    )


def _lives_at(raw: Raw) -> DataFrame:
    """The address given and the house it lies in: rooms of one house meet in the second."""
    rows = _rows(raw, "applications")
    places = F.array_distinct(F.array_compact(F.array("address", "address_house")))
    return _link(rows.withColumn("place", F.explode(places)), "applicant_id", "place")


def _works_at(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "applications"), "applicant_id", "employer")


def _has_phone(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "applications"), "employer", "employer_phone")


def _paid_with(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "applications"), "applicant_id", "bank_card")


def _seen_on(raw: Raw) -> DataFrame:
    rows = [
        _link(_rows(raw, source), "applicant_id", network)
        for source in ("applications", "devices")
        for network in ("ip", "wifi_bssid")
    ]
    return _all(*rows)


def _referred_by(raw: Raw) -> DataFrame:
    return _link(_rows(raw, "applications"), "application_id", "channel")


_FROM_SOURCES: dict[str, tuple[Callable[[Raw], DataFrame], tuple[str, ...]]] = {
    "person_submitted": (_submitted, ("applications",)),
    "funded": (_funded, ("loans",)),
    "uses_phone": (_uses_phone, ("applications", "phones")),
    "uses_device": (_uses_device, ("applications", "devices")),
    "device_holds_sim": (_device_holds_sim, ("applications", "devices", "phones")),
    "phone_holds_sim": (_phone_holds_sim, ("phones",)),
    "lists_contact": (_lists_contact, ("contacts",)),
    "called": (_called, ("calls",)),
    "lives_at": (_lives_at, ("applications",)),
    "works_at": (_works_at, ("applications",)),
    "has_phone": (_has_phone, ("applications",)),
    "paid_with": (_paid_with, ("applications",)),
    "seen_on": (_seen_on, ("applications", "devices")),
    "referred_by": (_referred_by, ("applications",)),
}


def edge_sources(edge: EdgeType) -> tuple[str, ...]:
    """Return the sources whose rows make this edge's events; any edge may come from `relations` too."""
    return (*_FROM_SOURCES.get(edge.table, (None, ()))[1], "relations")


def edge_events(raw: Raw, edge: EdgeType) -> DataFrame:
    """Return the dated rows behind an edge table. A link of a node to itself is dropped: it joins nothing."""
    related = _rows(raw, "relations").where(
        (F.upper("relation") == edge.relationship) & (F.col("from_kind") == edge.src) & (F.col("to_kind") == edge.dst)
    )
    amounts = {v.name: F.col(v.name) for v in edge.values if v.name in ("amount_cny", "score")}
    found = _link(related, "from_id", "to_id", **amounts)
    if edge.table in _FROM_SOURCES:
        found = _all(_FROM_SOURCES[edge.table][0](raw), found)
    if edge.src == edge.dst:
        found = found.where(F.col("src") != F.col("dst"))
    return _shaped(found, edge_events_struct(edge).fields)


def _shaped(rows: DataFrame, fields: list) -> DataFrame:  # type: ignore[type-arg]
    names = set(rows.columns)
    return rows.select(
        *((F.col(f.name) if f.name in names else F.lit(None)).cast(f.dataType).alias(f.name) for f in fields)
    )


def _own(rows: DataFrame, id_column: str, exists: bool, **values: Column) -> DataFrame:
    return rows.where(F.col(id_column).isNotNull()).select(
        F.col(id_column).alias("id"),
        F.lit(exists).alias("exists"),
        "at",
        "delivered_on",
        "ended_on",
        *(column.alias(name) for name, column in values.items()),
    )


def _once(rows: DataFrame, id_column: str, **values: Column) -> DataFrame:
    """Properties that the id itself decides: their first mention is enough."""
    said = rows.select(F.col(id_column).alias("id"), "at", "delivered_on", *(v.alias(n) for n, v in values.items()))
    said = said.where(F.col("id").isNotNull()).dropna("all", subset=list(values))
    first = said.groupBy("id", *values).agg(F.min("at").alias("at"), F.min("delivered_on").alias("delivered_on"))
    return first.withColumn("ended_on", F.lit(None).cast("date")).withColumn("exists", F.lit(False))


def _persons(raw: Raw) -> DataFrame:
    rows = _rows(raw, "applications")
    known = _own(rows, "applicant_id", True, gender=F.col("gender"), birth_year=F.col("birth_year"))
    seen = [
        _own(_rows(raw, source), "applicant_id", True)
        for source in ("devices", "contacts", "loans", "contact_attempts", "labels")
    ]
    return _all(known, *seen)


def _applications(raw: Raw) -> DataFrame:
    names = ("applied_at", "amount_cny", "product")
    return _own(_rows(raw, "applications"), "application_id", True, **{name: F.col(name) for name in names})


def _loans(raw: Raw) -> DataFrame:
    names = ("disbursed_at", "principal_cny", "term_months", "status")
    return _own(_rows(raw, "loans"), "loan_id", True, **{name: F.col(name) for name in names})


_PHONE_COLUMNS = {
    "applications": ("phone", "employer_phone"),
    "phones": ("phone",),
    "contacts": ("contact_phone",),
    "calls": ("phone", "other_phone"),
}


def _phones(raw: Raw) -> DataFrame:
    """Kinds other than mobile, which is what a number without a kind is, and the carriers reported."""
    kinds = [
        _once(_rows(raw, source), column, kind=F.when(F.col(f"{column}_kind") != "mobile", F.col(f"{column}_kind")))
        for source, columns in _PHONE_COLUMNS.items()
        for column in columns
    ]
    return _all(*kinds, _own(_rows(raw, "phones"), "phone", False, carrier=F.col("carrier")))


def _devices(raw: Raw) -> DataFrame:
    rows = _rows(raw, "devices")
    named = _own(rows, "device_id", False, os=F.col("os"), model=F.col("model"))
    apps = [_once(_rows(raw, source), "device_id", kind=F.lit("app")) for source in ("applications", "devices")]
    handsets = [
        _once(_rows(raw, source), "imei", kind=F.lit("imei"), batch=F.col("imei_batch"))
        for source in ("applications", "devices", "phones")
    ]
    return _all(named, *apps, *handsets)


def _addresses(raw: Raw) -> DataFrame:
    """Rooms apart from houses; an address with no room in it is its own house."""
    rows = _rows(raw, "applications").where(F.col("address_house").isNotNull())
    room = F.when(F.col("address") == F.col("address_house"), F.lit("house")).otherwise(F.lit("unit"))
    return _all(_once(rows, "address", kind=room), _once(rows, "address_house", kind=F.lit("house")))


def _networks(raw: Raw) -> DataFrame:
    kinds = [
        _once(_rows(raw, source), column, kind=F.lit(kind))
        for source in ("applications", "devices")
        for column, kind in (("ip", "ip"), ("wifi_bssid", "wifi"))
    ]
    return _all(*kinds)


_NODE_ROWS: dict[str, tuple[Callable[[Raw], DataFrame], tuple[str, ...]]] = {
    "person": (_persons, ("applications", "devices", "contacts", "loans", "contact_attempts", "labels")),
    "application": (_applications, ("applications",)),
    "loan": (_loans, ("loans",)),
    "phone": (_phones, ("applications", "phones", "contacts", "calls")),
    "device": (_devices, ("applications", "devices", "phones")),
    "address": (_addresses, ("applications",)),
    "network": (_networks, ("applications", "devices")),
}


def node_sources(node: NodeType) -> tuple[str, ...]:
    """Return the sources whose rows say something about the nodes themselves."""
    return _NODE_ROWS.get(node.table, (None, ()))[1]


def node_events(raw: Raw, node: NodeType) -> DataFrame | None:
    """Return the dated rows about the nodes of a label, None where edges alone make them."""
    if node.table not in _NODE_ROWS:
        return None
    return _shaped(_NODE_ROWS[node.table][0](raw), node_events_struct(node).fields)


def applicants(raw: Raw) -> DataFrame:
    """Return `applicant_person`: each applicant known, one person each, since when.

    Columns applicant_id (key), person_id, probability, why, at, delivered_on, ended_on. One to one for now: entity
    resolution replaces this table and nothing else.
    """
    own = _persons(raw).select(F.col("id").alias("applicant_id"), "at", "delivered_on")
    related = _rows(raw, "relations")
    ends = [
        related.where(F.col(f"{end}_kind") == "Person").select(
            F.col(f"{end}_id").alias("applicant_id"), "at", "delivered_on"
        )
        for end in ("from", "to")
    ]
    first = (
        _all(own, *ends)
        .where(F.col("applicant_id").isNotNull())
        .groupBy("applicant_id")
        .agg(
            F.min(F.coalesce("at", F.col("delivered_on").cast("timestamp"))).alias("at"),
            F.min("delivered_on").alias("delivered_on"),
        )
    )
    return first.select(
        "applicant_id",
        F.concat(F.lit("per_"), "applicant_id").alias("person_id"),
        F.lit(1.0).alias("probability"),
        F.lit("one applicant, one person").alias("why"),
        "at",
        "delivered_on",
        F.lit(None).cast("date").alias("ended_on"),
    )
