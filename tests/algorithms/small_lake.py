"""A lake of a few rows, written as a night would leave it, for the tests of hubs and weights."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL

Row = dict[str, Any]
AT = datetime(2024, 6, 30, 23, 59, tzinfo=UTC)
_ARROW = {"string": pa.string(), "long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(),
          "timestamp": pa.timestamp("us", "UTC")}  # fmt: skip
_DATES = [("delivered_on", pa.date32()), ("ended_on", pa.date32())]
_KNOWN = [("at", pa.timestamp("us", "UTC")), *_DATES]
_RAW = {
    "applications": ("applied_at", ("applicant_id", "iccid", "employer_phone")),
    "devices": ("event_at", ("applicant_id", "iccid")),
    "labels": ("confirmed_at", ("applicant_id", "label")),
}


def before(days: float) -> datetime:
    """The time so many days before `AT`."""
    return AT - timedelta(days=days)


class SmallLake:
    """Rows by table; `write` puts them into the lake. Each applicant `x` is the person `per_x`."""

    def __init__(self, lake: Lake):
        self.lake = lake
        self.edges: dict[str, list[Row]] = defaultdict(list)
        self.phones: list[Row] = []
        self.raw: dict[str, list[Row]] = defaultdict(list)

    def edge(
        self, table: str, src: str, dst: str, at: datetime, delivered_on: date | None = None, **values: Any
    ) -> None:
        self.edges[table].append(
            {"src": src, "dst": dst, "at": at, "delivered_on": delivered_on or at.date(), "ended_on": None, **values}
        )

    def applies(self, who: str, at: datetime, new_phone: bool = False, **stated: str) -> None:
        """Apply on a handset, number and home of one's own; `stated`: iccid, employer_phone."""
        self.edge("person_submitted", who, f"app_{who}", at)
        self.edge("uses_device", who, f"dev_{who}", at)
        self.edge("uses_phone", who, f"tel_{who}", at, held_from=at - timedelta(days=5 if new_phone else 900))
        self.raw["applications"].append({"applicant_id": who, "applied_at": at, "delivered_on": at.date(), **stated})

    def kind(self, phone: str, kind: str) -> None:
        """Say what kind of number it is."""
        self.phones.append(
            {"id": phone, "exists": False, "at": before(400), "delivered_on": before(400).date(), "kind": kind}
        )

    def label(self, who: str, label: str, at: datetime, delivered_on: date | None = None) -> None:
        self.raw["labels"].append(
            {"applicant_id": who, "label": label, "confirmed_at": at, "delivered_on": delivered_on or at.date()}
        )

    def write(self) -> Lake:
        people = set()
        for table, rows in self.edges.items():
            edge = EDGE_BY_TABLE[table]
            ends = [end for end, label in (("src", edge.src), ("dst", edge.dst)) if label == "Person"]
            people |= {row[end] for row in rows for end in ends}
            columns = [(name, pa.string()) for name in ("src", "dst")] + _KNOWN
            self._save(f"{table}_events", columns + [(v.name, _ARROW[v.type]) for v in edge.values], rows)
        values = [(v.name, _ARROW[v.type]) for v in NODE_BY_LABEL["Phone"].values]
        self._save("phone_events", [("id", pa.string()), ("exists", pa.bool_()), *_KNOWN, *values], self.phones)
        names = [(name, pa.string()) for name in ("applicant_id", "person_id")]
        known = [{"applicant_id": who, "person_id": f"per_{who}", "at": None, "delivered_on": date(2020, 1, 1)}
                 for who in sorted(people)]  # fmt: skip
        self._save("applicant_person", names + _KNOWN, known)
        for source, (event_at, texts) in _RAW.items():
            columns = [(name, pa.string()) for name in texts] + [(event_at, pa.timestamp("us", "UTC"))]
            rows = [{"op": "upsert", **row} for row in self.raw[source]]
            table = pa.Table.from_pylist(rows, pa.schema([("op", pa.string()), *columns, *_DATES]))
            write_deltalake(self.lake.raw(source), table, mode="overwrite")
        return self.lake

    def _save(self, name: str, columns: list[tuple[str, pa.DataType]], rows: list[Row]) -> None:
        write_deltalake(self.lake.graph(name), pa.Table.from_pylist(rows, pa.schema(columns)), mode="overwrite")
