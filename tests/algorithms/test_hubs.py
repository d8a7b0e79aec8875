"""Hubs: honest shared nodes are found and told why; what binds a ring is not explained away; nothing vanishes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from algorithms.hubs import command, policy
from algorithms.hubs.bridges import without_hub_bridges
from algorithms.hubs.features import levels
from algorithms.hubs.overrides import OverrideError, override
from algorithms.hubs.policy import HubKind
from algorithms.hubs.registry import COLUMNS, HubRulesError, hubs, judged, read_rules, save, write_hubs
from graph.lake import Lake
from tests.algorithms.small_lake import AT, SmallLake, before

Row = dict[str, Any]
YEAR, WEEK = 330.0, 9.0
LATER = AT + timedelta(days=3)


def group(world: SmallLake, name: str, size: int, days: float, **stated: str) -> list[str]:
    """People who apply evenly over so many days, the last of them twenty days ago."""
    people = [f"{name}{i}" for i in range(size)]
    for i, who in enumerate(people):
        world.applies(who, before(20 + days * i / (size - 1)), **stated)
        world.edge("lives_at", who, f"adr_{who}", before(20 + days * i / (size - 1)))
    return people


def applied(world: SmallLake, who: str) -> Any:
    return next(row["at"] for row in world.edges["person_submitted"] if row["src"] == who)


def spoke(world: SmallLake, who: str, phone: str, seconds: int, name: str | None = None) -> None:
    at = applied(world, who)
    world.edge("called", f"tel_{who}", phone, at - timedelta(days=3), duration_s=seconds)
    if name:
        world.edge("lists_contact", who, phone, at, contact_name=name)


def shop(world: SmallLake, days: float) -> None:
    for who in group(world, "shop", 12, days):
        world.edge("uses_device", who, "dev_shop", applied(world, who))


def fan_out(world: SmallLake, days: float) -> None:
    people = group(world, "fan", 12, days)
    own = [row for row in world.edges["uses_device"] if row["src"] in people]
    for row in own:
        row["dst"] = "dev_fan"


def kit(world: SmallLake, days: float) -> None:
    for who in group(world, "kit", 12, days):
        world.edge("uses_device", who, "dev_kit", applied(world, who) - timedelta(days=2))


def courier(world: SmallLake, days: float) -> None:
    for i, who in enumerate(group(world, "parcel", 12, days)):
        spoke(world, who, "tel_courier", 25, "rol_courier" if i % 2 else None)


def hidden_agent(world: SmallLake, days: float) -> None:
    for who in group(world, "packed", 12, days):
        spoke(world, who, "tel_hidden", 200)


def helper(world: SmallLake, days: float) -> None:
    world.applies("helper", before(300))
    for who in group(world, "village", 10, days):
        spoke(world, who, "tel_helper", 200, "nam_helper")
    for i in range(30):
        world.edge("called", "tel_helper", f"tel_stranger{i}", before(300), duration_s=60)


def employer(world: SmallLake, days: float) -> None:
    for who in group(world, "staff", 24, days, employer_phone="tel_desk"):
        world.edge("works_at", who, "com_big", applied(world, who))
    world.edge("has_phone", "com_big", "tel_desk", before(300))


def shell(world: SmallLake, days: float) -> None:
    for who in group(world, "shell", 24, days):
        world.edge("works_at", who, "com_shell", applied(world, who))
        world.edge("lives_at", who, "adr_shell", applied(world, who))


def bank(world: SmallLake, days: float) -> None:
    world.kind("tel_bank", "service")
    for who in group(world, "client", 9, days):
        world.edge("lists_contact", who, "tel_bank", applied(world, who), contact_name="nam_bank")


def gateway(world: SmallLake, days: float) -> None:
    for who in group(world, "passer", 15, days):
        world.edge("seen_on", who, "net_mall", applied(world, who))


def burst(world: SmallLake, days: float) -> None:
    for who in group(world, "crowd", 60, days):
        world.edge("seen_on", who, "net_burst", applied(world, who))


def burners(world: SmallLake, days: float) -> None:
    for who in group(world, "burner", 12, days, new_phone=True):  # type: ignore[arg-type]
        world.edge("uses_device", who, "dev_burner", applied(world, who))


PLANTED: tuple[tuple[Callable[[SmallLake, float], None], float, str, str | None], ...] = (
    (shop, YEAR, "dev_shop", "shop_device"), (fan_out, WEEK, "dev_fan", None), (kit, WEEK, "dev_kit", None),
    (courier, YEAR, "tel_courier", "courier"), (hidden_agent, WEEK, "tel_hidden", None),
    (helper, YEAR, "tel_helper", "helpful_agent"), (employer, YEAR, "com_big", "big_employer"),
    (employer, YEAR, "tel_desk", "employer_phone"), (shell, 25.0, "com_shell", None), (shell, 25.0, "adr_shell", None),
    (bank, YEAR, "tel_bank", "hotline"), (gateway, YEAR, "net_mall", "campus_or_mall_wifi"),
    (burst, WEEK, "net_burst", "unexplained"), (burners, YEAR, "dev_burner", None),
)  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    world = SmallLake(Lake(tmp_path_factory.mktemp("hubs")))
    for plant, days in dict.fromkeys((plant, days) for plant, days, _, _ in PLANTED):
        plant(world, days)
    # Most numbers are known to one person, and most networks are one person's, as in any real lake.
    for i in range(1_500):
        world.edge("lists_contact", "reader", f"tel_entry{i}", before(100))
        world.edge("seen_on", "reader", f"net_home{i}", before(100))
    # What no registry as of AT may see: a fleet on the ring's handset later, and one delivered later.
    for i in range(9):
        world.edge("uses_device", f"late{i}", "dev_fan", before(i * 40), LATER.date())
        world.edge("uses_device", f"next{i}", "dev_future", LATER)
    lake = world.write()
    override(lake, "tel_courier", "hub", "ann", "a parcel service", at=before(2))
    override(lake, "tel_courier", "not_hub", "bob", "he collects fees", at=before(1))
    override(lake, "dev_fan", "hub", "ann", "a demo handset", HubKind.SHOP_DEVICE, at=before(1))
    override(lake, "dev_shop", "not_hub", "eve", "said after the day", at=LATER)
    return lake


@pytest.fixture(scope="module")
def registry(spark: SparkSession, lake: Lake) -> DataFrame:
    return hubs(spark, lake, AT).persist()


@pytest.fixture(scope="module")
def found(registry: DataFrame) -> dict[str, Row]:
    assert tuple(registry.columns) == COLUMNS
    rows = registry.collect()
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row.asDict() for row in rows}


OVERRIDDEN = ("tel_courier", "dev_fan")


@pytest.mark.parametrize(("node", "kind"), [(node, kind) for _, _, node, kind in PLANTED if node not in OVERRIDDEN])
def test_steady_shared_use_is_a_hub_and_what_binds_a_ring_is_none(
    found: dict[str, Row], node: str, kind: str | None
) -> None:
    assert found.get(node, {}).get("kind") == kind


def test_nothing_but_the_planted_is_listed(found: dict[str, Row]) -> None:
    assert set(found) == {node for _, _, node, kind in PLANTED if kind} | {"dev_fan"}


def test_each_hub_tells_its_reason_in_figures(found: dict[str, Row]) -> None:
    assert found["dev_shop"]["reason"] == (
        "12 persons logged in on this handset over 264 days; 100 % of them have one of their own."
    )
    assert all("unknown" not in row["reason"] and "{" not in row["reason"] for row in found.values())


def test_figures_of_a_hub_are_those_of_its_persons(found: dict[str, Row]) -> None:
    helper_row = found["tel_helper"]
    assert (helper_row["persons"], helper_row["degree"], helper_row["contacts_listed"]) == (11, 41, 10)
    assert helper_row["applicant_ratio"] == pytest.approx(10 / 40)
    assert found["net_burst"]["burst_ratio"] == 1.0
    assert found["tel_courier"]["role_ratio"] == 1.0


def test_a_persons_last_word_before_the_day_outranks_the_rules(found: dict[str, Row]) -> None:
    courier_row, fan, shop_row = found["tel_courier"], found["dev_fan"], found["dev_shop"]
    assert (courier_row["override"], courier_row["kind"], courier_row["joins"]) == ("not_hub", "courier", True)
    assert courier_row["reason"].startswith("A person said so: he collects fees (bob).")
    assert (fan["override"], fan["kind"], fan["joins"], fan["persons"]) == ("hub", "shop_device", False, 12)
    assert shop_row["override"] is None


def test_the_table_and_the_policy_say_the_same(found: dict[str, Row]) -> None:
    assert {row["id"]: row["joins"] for row in found.values()} == {
        row["id"]: policy.joins(row["kind"], row["override"]) for row in found.values()
    }
    assert policy.joins(None)
    assert not policy.joins("courier")
    assert policy.joins("unexplained")


def test_no_edge_vanishes_at_a_hub(spark: SparkSession, registry: DataFrame) -> None:
    edges = spark.createDataFrame(
        [
            ("a", "dev_shop", 1),
            ("b", "dev_shop", 2),
            ("a", "dev_kit", 3),
            ("tel_bank", "tel_desk", 4),
            ("a", "net_burst", 5),
        ],
        "src string, dst string, n int",
    )
    split = without_hub_bridges(edges, registry)
    assert {row["n"] for row in split.edges.collect()} == {3, 5}
    beside = {(row["hub"], row["kind"], row["node"], row["n"]) for row in split.beside.collect()}
    assert beside == {
        ("dev_shop", "shop_device", "a", 1), ("dev_shop", "shop_device", "b", 2),
        ("tel_bank", "hotline", "tel_desk", 4), ("tel_desk", "employer_phone", "tel_bank", 4),
    }  # fmt: skip


def test_a_day_written_twice_is_the_same_day(
    spark: SparkSession, lake: Lake, registry: DataFrame, found: dict[str, Row]
) -> None:
    first, second = date(2024, 6, 29), AT.date()
    counts = save(registry, lake, first)
    assert sum(counts.values()) == len(found)
    save(registry.limit(2), lake, second)
    assert write_hubs(spark, lake, second, AT) == counts
    written = spark.read.format("delta").load(str(lake.results("hubs"))).orderBy("as_of_date", "id").collect()
    expected = registry.orderBy("id").collect()
    assert [row[: len(COLUMNS)] for row in written] == [tuple(row) for row in expected] * 2
    out = StringIO()
    command.run(lake, Console(file=out, width=400), label="device", limit=5, override=None, word=None, kind=None,
                user="", reason="")  # fmt: skip
    assert "Hubs as of 2024-06-30" in out.getvalue()
    assert "dev_fan" in out.getvalue()
    assert "tel_" not in out.getvalue()


def test_an_empty_lake_has_no_hubs(spark: SparkSession, tmp_path: Path) -> None:
    assert hubs(spark, SmallLake(Lake(tmp_path)).write(), AT).count() == 0


def test_levels_are_the_quantiles_of_persons_per_node(spark: SparkSession) -> None:
    sizes = np.random.default_rng(1).zipf(1.7, 500).clip(1, 400)
    counts = spark.createDataFrame(
        [("Phone", str(i), int(n)) for i, n in enumerate(sizes)], "label string, id string, persons long"
    )
    (row,) = levels(counts).collect()
    expected = np.quantile(sizes, [0.5, 0.9, 0.99, 0.999], method="inverted_cdf")
    assert [row[name] for name in ("p50", "p90", "p99", "p999")] == list(expected)


def test_a_rule_that_names_no_column_is_refused_by_number(spark: SparkSession) -> None:
    rules = read_rules()
    bad = rules.model_copy(update={"rules": (rules.rules[0].model_copy(update={"when": "height > 2"}),)})
    rows = spark.createDataFrame([("Phone", "t")], "label string, id string")
    with pytest.raises(HubRulesError, match="Rule 1 of hubs"):
        judged(rows, bad)


def test_rules_with_an_unknown_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hubs.yml").write_text("version: 1\nfloors: 8\n")
    with pytest.raises(HubRulesError, match=r"hubs\.yml"):
        read_rules(tmp_path / "hubs.yml")


@pytest.mark.parametrize(
    "asked", [{"override": "tel_1", "word": "maybe"}, {"override": None, "word": "hub"},
              {"override": "tel_1", "word": "hub", "user": ""}, {"override": "tel_1", "word": "hub", "kind": "moon"},
              {"override": "tel_1", "word": "not_hub", "kind": "courier"}],
)  # fmt: skip
def test_half_an_override_is_refused_and_writes_nothing(tmp_path: Path, asked: Row) -> None:
    lake = Lake(tmp_path)
    given = {"label": None, "limit": 1, "kind": None, "user": "ann", "reason": "seen it", **asked}
    with pytest.raises(OverrideError):
        command.run(lake, Console(file=StringIO()), **given)
    assert not lake.results("hub_overrides").exists()


def test_without_a_registry_the_command_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(command.NoRegistryError, match="Run the night first"):
        command.listed(Lake(tmp_path), None, 5)
