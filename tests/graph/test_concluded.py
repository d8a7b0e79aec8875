"""What a late stage concludes about edges reaches Neo4j beside them, and the edge table stays as it was."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from neo4j import Driver
from pyspark.sql import SparkSession

from graph import load
from graph.answers import Relation
from graph.bulk import edge_columns
from graph.lake import Lake, version
from graph.reader import GraphReader
from graph.schema import EDGE_BY_TABLE
from graph.server import LocalServer, connect

pytestmark = pytest.mark.spark

AT = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)
USES_PHONE = EDGE_BY_TABLE["uses_phone"]
_MOMENT = pa.timestamp("us", "UTC")
_SEEN = [("first_seen_at", _MOMENT), ("last_seen_at", _MOMENT)]


def write_graph(lake: Lake) -> None:
    person = [("id", pa.string()), *_SEEN, ("gender", pa.string()), ("birth_year", pa.int64())]
    phone = [("id", pa.string()), *_SEEN, ("kind", pa.string()), ("carrier", pa.string())]
    uses = [("src", pa.string()), ("dst", pa.string()), *_SEEN, ("event_count", pa.int64()), ("weight", pa.float64()),
            ("held_from", _MOMENT), ("held_to", _MOMENT)]  # fmt: skip
    seen = {"first_seen_at": AT, "last_seen_at": AT}

    def put(table: str, rows: list[dict[str, Any]], fields: list[Any]) -> None:
        write_deltalake(lake.graph(table), pa.Table.from_pylist(rows, schema=pa.schema(fields)))

    put("person", [{"id": f"per_{n}", **seen} for n in "12"], person)
    put("phone", [{"id": f"tel_{n}", **seen} for n in "12"], phone)
    put("uses_phone", [{"src": f"per_{n}", "dst": f"tel_{n}", "event_count": 1, **seen} for n in "12"], uses)


def conclude(lake: Lake, day: date, *rows: tuple[str, str, datetime | None, float]) -> None:
    names = ("person_id", "phone", "owner_until", "owner_probability")
    told = [dict(zip(names, row, strict=True)) | {"as_of_date": day} for row in rows]
    fields = [("person_id", pa.string()), ("phone", pa.string()), ("owner_until", _MOMENT),
              ("owner_probability", pa.float64()), ("as_of_date", pa.date32())]  # fmt: skip
    write_deltalake(
        lake.results("phone_ownership"), pa.Table.from_pylist(told, schema=pa.schema(fields)), mode="append"
    )


def _relations(reader: GraphReader, person: str) -> tuple[Relation, ...]:
    layer = reader.layer("Person", person)
    assert layer is not None
    return layer.page.rows


@pytest.mark.neo4j
def test_the_chance_that_a_number_is_still_its_persons_stands_on_the_edge(
    spark: SparkSession, driver: Driver, neo4j_server: LocalServer, tmp_path: Path
) -> None:
    lake, settings, cache = Lake(tmp_path / "lake"), neo4j_server.settings, neo4j_server.cache
    reader = GraphReader(driver, timeout_s=60)

    def told(person: str) -> tuple[Any, Any]:
        (relation,) = _relations(reader, person)
        return relation.properties.get("owner_probability"), relation.properties.get("owner_until")

    def loaded() -> int:
        return load.incremental_load(spark, lake, lambda: connect(settings, cache), "2026-06-30").properties_set

    write_graph(lake)
    loaded()
    before = version(lake.graph("uses_phone"))
    assert told("per_1") == (None, None)
    conclude(lake, date(2026, 6, 29), ("per_1", "tel_1", AT, 0.1), ("per_2", "tel_2", None, 0.9))
    conclude(lake, date(2026, 6, 30), ("per_1", "tel_1", AT, 0.3))  # the newest day counts alone
    loaded()
    assert told("per_1") == (0.3, AT)
    assert told("per_2") == (None, None)
    assert version(lake.graph("uses_phone")) == before
    assert loaded() == 0


def test_a_full_load_takes_what_is_concluded_with_the_edges(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    write_graph(lake)
    conclude(lake, date(2026, 6, 30), ("per_2", "tel_2", None, 0.9))
    counts = load.export(spark, lake, load.versions(lake), tmp_path / "import")
    assert counts == {"person": 2, "phone": 2, "uses_phone": 2}
    parts = (tmp_path / "import" / "edges" / "uses_phone").glob("part-*")
    rows = sorted(line.split(",") for path in parts for line in path.read_text().splitlines())
    place = [column.split(":")[0] for column in edge_columns(USES_PHONE)].index("owner_probability")
    assert sorted(row[place] for row in rows) == ["", "0.9"]
