"""The registry of hubs: the rules of `rules/hubs.yml` and people's overrides, applied to figures of shared nodes."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import reduce
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from algorithms.hubs.features import features
from algorithms.hubs.overrides import overrides
from algorithms.hubs.policy import HubKind
from graph.lake import Lake
from graph.schema import Label

RULES = Path(__file__).parents[1] / "rules" / "hubs.yml"
COLUMNS = (
    "id", "label", "kind", "degree", "persons", "applicant_ratio", "reciprocity_ratio", "burst_ratio", "span_days",
    "age_days", "own_device_ratio", "contacts_listed", "role_ratio", "labeled", "fraud_labeled", "joins", "reason",
    "override",
)  # fmt: skip


class HubRulesError(Exception):
    """The rules file cannot be used; the text names the rule and what to mend."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(_Strict):
    """A condition in SQL over the features, and the sentence an analyst reads where it holds."""

    when: str
    says: str


class Rule(Verdict):
    """A verdict that gives a node of one label its kind; `always` where the common conditions are not asked."""

    kind: HubKind
    label: Label
    always: bool = False


class Rules(_Strict):
    """`rules/hubs.yml`: `common` conditions hold for every rule; the first rule that holds decides."""

    version: int
    floor: int
    common: tuple[str, ...]
    rules: tuple[Rule, ...]
    unexplained: Verdict


def read_rules(path: Path = RULES) -> Rules:
    """Return the rules of a file.

    Raises:
        HubRulesError: a key is missing or unknown, or a value is of the wrong type.
    """
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise HubRulesError(f"{path.name} holds no rules of hubs: {error}") from error


def _sentence(template: str) -> Column:
    """Return the text with `{column}` filled in: ratios as percent, other figures rounded; `unknown` for a null."""
    parts = []
    for index, part in enumerate(re.split(r"\{(\w+)\}", template)):
        if index % 2 == 0:
            parts.append(F.lit(part))
        elif part.endswith("_ratio"):
            parts.append(F.coalesce(F.concat(F.format_number(F.col(part) * 100, 0), F.lit(" %")), F.lit("unknown")))
        elif part == "node_kind":
            parts.append(F.coalesce(part, F.lit("unknown")))
        else:
            parts.append(F.coalesce(F.format_number(F.col(part), 0), F.lit("unknown")))
    return F.concat(*parts)


def _holds(*conditions: str) -> Column:
    return reduce(Column.__and__, (F.coalesce(F.expr(text), F.lit(False)) for text in conditions))


def judged(rows: DataFrame, rules: Rules) -> DataFrame:
    """Add `kind` and `reason` to the figures of shared nodes: null where no rule holds.

    Raises:
        HubRulesError: a condition or sentence names a column there is none of, or is no SQL.
    """
    found = rows.withColumn("floor", F.lit(rules.floor))
    found = found.withColumn("verdict", F.lit(None).cast("struct<kind:string,reason:string>"))
    for number, rule in enumerate((*rules.rules, rules.unexplained), 1):
        try:
            if isinstance(rule, Rule):
                holds = _holds(rule.when, *(() if rule.always else rules.common)) & (F.col("label") == str(rule.label))
                kind = rule.kind
            else:
                holds, kind = _holds(rule.when), HubKind.UNEXPLAINED
            verdict = F.struct(F.lit(str(kind)).alias("kind"), _sentence(rule.says).alias("reason"))
            found = found.withColumn("verdict", F.coalesce("verdict", F.when(holds, verdict)))
        except AnalysisException as error:
            raise HubRulesError(
                f"Rule {number} of hubs cannot be used: {error.getMessage() or error}. It may name these columns: "
                f"{sorted(rows.columns)}."
            ) from error
    return found.select(*rows.columns, "verdict.kind", "verdict.reason")


def hubs(spark: SparkSession, lake: Lake, at: datetime, rules: Rules | None = None) -> DataFrame:
    """Return the registry as of `at`: one row per hub, key `id`, columns `COLUMNS`.

    `joins` is what the policy made of it (`algorithms.hubs.policy.joins`): False for hubs, True for `unexplained`
    supernodes and for nodes a person said are none. `override` is `hub`, `not_hub` or null. A node a person named is
    listed whatever the rules say, if anybody is beside it; it needs no kind to be a hub.
    """
    rules = rules or read_rules()
    said = overrides(spark, lake, at)
    rows = judged(features(spark, lake, at, rules.floor, said), rules).join(F.broadcast(said), "id", "left")
    listed = rows.where(F.col("kind").isNotNull() | F.col("override").isNotNull())
    note = F.concat(F.lit("A person said so: "), F.col("why"), F.lit(" ("), F.col("who"), F.lit(")."))
    # As `policy.joins`, in Spark's terms; a test holds the two together.
    joining = F.when(F.col("override").isNotNull(), F.col("override") == "not_hub").otherwise(
        F.col("kind") == str(HubKind.UNEXPLAINED)
    )
    kind = F.coalesce("override_kind", "kind", F.lit(str(HubKind.UNEXPLAINED)))
    reason = F.concat_ws(" ", F.when(F.col("override").isNotNull(), note), "reason")
    return listed.withColumn("joins", joining).withColumn("kind", kind).withColumn("reason", reason).select(*COLUMNS)


def save(registry: DataFrame, lake: Lake, day: date) -> dict[str, int]:
    """Write a registry to `LAKE/results/hubs` in place of the day's rows; return the counts by kind.

    Key (`as_of_date`, `id`).
    """
    rows = registry.withColumn("as_of_date", F.lit(day)).persist()
    ordered = rows.repartition(1).sortWithinPartitions("label", "id")
    writer = ordered.write.format("delta").mode("overwrite").option("replaceWhere", f"as_of_date = '{day.isoformat()}'")
    writer.partitionBy("as_of_date").save(str(lake.results("hubs")))
    counts = {str(row["kind"]): int(row["count"]) for row in rows.groupBy("kind").count().collect()}
    rows.unpersist()
    return dict(sorted(counts.items()))


def write_hubs(spark: SparkSession, lake: Lake, day: date, at: datetime, rules: Rules | None = None) -> dict[str, int]:
    """Find the hubs as of `at` and write them as those of `day`; return the counts by kind. Safe to repeat."""
    return save(hubs(spark, lake, at, rules), lake, day)
