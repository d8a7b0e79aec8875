"""What the rules of hubs may speak about: figures of every node that many persons share, as of a time.

The idea that a hub is known by how it is used, not by its degree alone, follows Cao et al. 2012, "Aiding the Detection
of Fake Accounts in Large Scale Social Online Services", and Akoglu et al. 2010, "OddBall"; the figures are our own.
"""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from algorithms.hubs.beside import beside, owners, persons, seen
from graph import as_of
from graph.lake import Lake
from graph.schema import NODE_BY_LABEL

DAY_S = 86_400
BURST_DAYS = 14
NEW_PHONE_DAYS = 30
OWN_DEVICE_PERSONS = 4  # a handset of at most so many persons is a family's, and its users' own
LEVELS = (0.5, 0.9, 0.99, 0.999)
_KEY = ["label", "id"]


def levels(counts: DataFrame) -> DataFrame:
    """Return `label`, `p50`, `p90`, `p99`, `p999`: how many persons a node of the label has beside it.

    Each is the smallest count that so large a share of the label's nodes does not exceed.
    """
    sizes = counts.groupBy("label", "persons").agg(F.count("*").alias("nodes"))
    running = Window.partitionBy("label").orderBy("persons").rowsBetween(Window.unboundedPreceding, 0)
    share = F.sum("nodes").over(running) / F.sum("nodes").over(Window.partitionBy("label"))
    names = ("p50", "p90", "p99", "p999")
    return (
        sizes.withColumn("share", share)
        .groupBy("label")
        .agg(*(F.min(F.when(F.col("share") >= level, F.col("persons"))).alias(name)
               for name, level in zip(names, LEVELS, strict=True)))
    )  # fmt: skip


def features(spark: SparkSession, lake: Lake, at: datetime, floor: int, wanted: DataFrame) -> DataFrame:
    """Return one row for each node with at least `floor` persons beside it, and for each of `wanted` (`id`) known.

    Key `id`. Columns `label`, `node_kind` (of phones and networks), `degree`, `persons`, `owners`, `applicant_ratio`,
    `reciprocity_ratio`, `mean_call_s`, `callers`, `called_before_ratio` (first call in the fortnight before
    applying), `companies`, `contacts_listed`, `role_ratio`, `burst_ratio`, `span_days` and
    the same of all applications (`base_…`), `age_days`, `history_days`, `own_device_ratio`, `new_phone_ratio`,
    `address_top_ratio`, `labeled`, `fraud_labeled`, `base_fraud_ratio`, and the label's `p50` … `p999`. A ratio is null
    where nothing is known.
    """
    # Each table is computed once and its plan cut off: Spark would otherwise carry a dozen tables' plans a dozen times,
    # until their text alone fills the driver.
    touches = beside(spark, lake, at).localCheckpoint()
    counts = touches.groupBy(*_KEY).agg(F.countDistinct("person_id").alias("persons"))
    many = counts.where(F.col("persons") >= floor)
    asked = counts.join(F.broadcast(wanted.select("id")), "id", "left_semi").select(*many.columns)
    candidates = many.unionByName(asked).distinct().localCheckpoint()
    found = touches.join(F.broadcast(candidates.select(*_KEY)), _KEY, "left_semi").localCheckpoint()
    people = found.groupBy(*_KEY, "person_id").agg(
        F.min("first_seen_at").alias("first"),
        F.min(F.when(F.col("via") == "called", F.col("first_seen_at"))).alias("called"),
    )
    submitted = seen(spark, lake, "person_submitted", at)
    people = _with_moments(people, submitted).localCheckpoint()
    rows = candidates.join(F.broadcast(levels(counts).localCheckpoint()), "label", "left")
    for part in (
        _in_time(people, at), _everybody(candidates, submitted), _independent(touches, people), _homes(touches, people),
        _numbers(spark, lake, at, people), _verdicts(spark, lake, at, people),
        _phones(spark, lake, at, found, candidates), _kinds(spark, lake, at, candidates),
    ):  # fmt: skip
        rows = rows.join(part.localCheckpoint(), _KEY, "left")
    applied = F.col("applied") / F.col("persons")
    told = rows.select(
        *_KEY, "persons", "node_kind", F.coalesce("owners", F.lit(0)).alias("owners"),
        (F.col("persons") + F.coalesce("strangers", F.lit(0))).alias("degree"),
        F.coalesce("neighbor_applicant_ratio", applied).alias("applicant_ratio"), "reciprocity_ratio", "mean_call_s",
        "callers", "called_before_ratio",
        F.coalesce("companies", F.lit(0)).alias("companies"),
        F.coalesce("contacts_listed", F.lit(0)).alias("contacts_listed"), "role_ratio", "burst_ratio", "span_days",
        "base_burst_ratio", "base_span_days",
        "age_days", "history_days", "own_device_ratio", "new_phone_ratio", "address_top_ratio", "labeled",
        "fraud_labeled", "base_fraud_ratio", "p50", "p90", "p99", "p999",
    )  # fmt: skip
    return told.localCheckpoint()


def _with_moments(people: DataFrame, submitted: DataFrame | None) -> DataFrame:
    """Add `moment`, the person's application nearest to the first touch, or that touch; and whether there was one."""
    if submitted is None:
        return people.withColumn("moment", F.col("first")).withColumn("applied", F.lit(False))
    applications = submitted.select(F.col("src").alias("person_id"), F.col("at").alias("applied_at"))
    nearest = F.min(F.struct(F.abs(F.unix_timestamp("applied_at") - F.unix_timestamp("first")), "applied_at"))
    return (
        people.join(applications, "person_id", "left")
        .groupBy(*_KEY, "person_id", "first", "called")
        .agg(nearest.alias("nearest"))
        .withColumn("applied", F.col("nearest.applied_at").isNotNull())
        .withColumn("moment", F.coalesce("nearest.applied_at", "first"))
        .drop("nearest")
    )


def _in_time(people: DataFrame, at: datetime) -> DataFrame:
    """Whether the node was used steadily: busiest fortnight, days between the first and the last tenth of persons."""
    second = F.unix_timestamp("moment")
    fortnight = Window.partitionBy(*_KEY).orderBy(second).rangeBetween(-BURST_DAYS * DAY_S + 1, 0)
    begun = people.agg(F.min("first").alias("begun"))
    tenths = F.percentile(second, F.array(F.lit(0.1), F.lit(0.9)))
    now = F.unix_timestamp(F.lit(as_of.utc(at)))
    eve = F.col("applied") & F.datediff("moment", "called").between(0, BURST_DAYS)
    rows = people.withColumn("busy", F.count("*").over(fortnight)).groupBy(*_KEY).agg(
        (F.max("busy") / F.count("*")).alias("burst_ratio"),
        ((tenths[1] - tenths[0]) / DAY_S).alias("span_days"),
        ((now - F.unix_timestamp(F.min("first"))) / DAY_S).alias("age_days"),
        F.count_if("applied").alias("applied"),
        F.count("called").alias("callers"),
        F.try_divide(F.count_if(eve), F.count("called")).alias("called_before_ratio"),
    )  # fmt: skip
    history = ((now - F.unix_timestamp("begun")) / DAY_S).alias("history_days")
    return rows.join(F.broadcast(begun.select(history)))


def _everybody(candidates: DataFrame, submitted: DataFrame | None) -> DataFrame:
    """Busiest fortnight and span of all applications, beside each node: how a node looks whose people are anybody."""
    if submitted is None:
        return candidates.select(
            *_KEY,
            F.lit(None).cast("double").alias("base_burst_ratio"),
            F.lit(None).cast("double").alias("base_span_days"),
        )
    days = submitted.groupBy(F.unix_date(F.col("at").cast("date")).alias("day")).agg(F.count("*").alias("applications"))
    whole = Window.partitionBy(F.lit(0))
    running = F.sum("applications").over(whole.orderBy("day")) / F.sum("applications").over(whole)
    fortnight = F.sum("applications").over(whole.orderBy("day").rangeBetween(-BURST_DAYS + 1, 0))
    told = days.withColumn("share", running).withColumn("busy", fortnight).agg(
        (F.max("busy") / F.sum("applications")).alias("base_burst_ratio"),
        (F.min(F.when(F.col("share") >= 0.9, F.col("day"))) - F.min(F.when(F.col("share") >= 0.1, F.col("day"))))
        .cast("double").alias("base_span_days"),
    )  # fmt: skip
    return candidates.select(*_KEY).join(F.broadcast(told))


def _share(people: DataFrame, facts: DataFrame, name: str) -> DataFrame:
    """Return the share of the persons beside each node of whom the boolean `fact` is true, of those who have one."""
    told = people.join(facts, "person_id")
    return told.groupBy(*_KEY).agg(F.avg(F.col("fact").cast("double")).alias(name))


def _independent(touches: DataFrame, people: DataFrame) -> DataFrame:
    devices = touches.where(F.col("via") == "uses_device")
    few = devices.groupBy("id").agg(F.count("*").alias("users")).where(F.col("users") <= OWN_DEVICE_PERSONS)
    own = devices.join(few, "id").select("person_id", "id")
    facts = devices.select("person_id").distinct().join(
        own.select("person_id").distinct().withColumn("own", F.lit(True)), "person_id", "left"
    )  # fmt: skip
    return _share(people, facts.select("person_id", F.coalesce("own", F.lit(False)).alias("fact")), "own_device_ratio")


def _numbers(spark: SparkSession, lake: Lake, at: datetime, people: DataFrame) -> DataFrame:
    own = owners(spark, lake, at)
    if own is None:
        return people.groupBy(*_KEY).agg(F.lit(None).cast("double").alias("new_phone_ratio"))
    opened = own.where(F.col("held_from").isNotNull()).groupBy("person_id").agg(F.min("held_from").alias("opened"))
    told = people.join(opened, "person_id")
    new = F.datediff("moment", "opened") < NEW_PHONE_DAYS
    return told.groupBy(*_KEY).agg(F.avg(new.cast("double")).alias("new_phone_ratio"))


def _homes(touches: DataFrame, people: DataFrame) -> DataFrame:
    homes = touches.where(F.col("via") == "lives_at").select("person_id", F.col("id").alias("home"))
    each = people.join(homes, "person_id").groupBy(*_KEY, "home").agg(F.count("*").alias("there"))
    return each.groupBy(*_KEY).agg((F.max("there") / F.sum("there")).alias("address_top_ratio"))


def verdicts(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame:
    """Return `person_id` (key) and `fraud`: the latest verdict on each person that was known at `at`.

    Where one person's customer numbers differ at the same moment, fraud counts.
    """
    labels = as_of.raw(spark, lake, "labels", "confirmed_at", at)
    if labels is None:
        return spark.createDataFrame([], "person_id string, fraud boolean")
    said = labels.join(persons(spark, lake, at), "applicant_id")
    latest = F.max(F.struct("confirmed_at", (F.col("label") == "fraud").alias("fraud")))
    return said.groupBy("person_id").agg(latest["fraud"].alias("fraud"))


def _verdicts(spark: SparkSession, lake: Lake, at: datetime, people: DataFrame) -> DataFrame:
    known = verdicts(spark, lake, at).localCheckpoint()
    base = known.agg(F.coalesce(F.avg(F.col("fraud").cast("double")), F.lit(0.0)).alias("base_fraud_ratio"))
    told = people.join(known, "person_id", "left").groupBy(*_KEY).agg(
        F.count("fraud").alias("labeled"), F.count_if("fraud").alias("fraud_labeled")
    )  # fmt: skip
    return told.join(F.broadcast(base))


def _phones(spark: SparkSession, lake: Lake, at: datetime, found: DataFrame, candidates: DataFrame) -> DataFrame:
    """What is known of numbers alone: calls both ways, who owns them, who lists them, which companies state them."""
    wanted = F.broadcast(candidates.where(F.col("label") == "Phone").select("id"))
    rows = candidates.select(*_KEY)
    rows = rows.join(_ways(found), _KEY, "left")
    for part in (
        _listed(spark, lake, at, wanted),
        _companies(spark, lake, at, wanted),
        _calls(spark, lake, at, wanted),
    ):
        rows = rows.join(part, "id", "left")
    return rows


def _ways(found: DataFrame) -> DataFrame:
    return found.groupBy(*_KEY).agg(F.count_if(F.col("via") == "uses_phone").alias("owners"))


def _listed(spark: SparkSession, lake: Lake, at: datetime, wanted: DataFrame) -> DataFrame:
    books = seen(spark, lake, "lists_contact", at)
    if books is None:
        return spark.createDataFrame([], "id string, contacts_listed long, role_ratio double")
    theirs = books.join(wanted, books["dst"] == wanted["id"], "left_semi")
    role = F.max(F.coalesce(F.col("contact_name").startswith("rol_"), F.lit(False))).alias("role")
    entries = theirs.groupBy(F.col("dst").alias("id"), "src").agg(role)
    return entries.groupBy("id").agg(
        F.count("*").alias("contacts_listed"), F.avg(F.col("role").cast("double")).alias("role_ratio")
    )


def _companies(spark: SparkSession, lake: Lake, at: datetime, wanted: DataFrame) -> DataFrame:
    stated = seen(spark, lake, "has_phone", at)
    if stated is None:
        return spark.createDataFrame([], "id string, companies long")
    theirs = stated.join(wanted, stated["dst"] == wanted["id"], "left_semi")
    return theirs.groupBy(F.col("dst").alias("id")).agg(F.countDistinct("src").alias("companies"))


def _calls(spark: SparkSession, lake: Lake, at: datetime, wanted: DataFrame) -> DataFrame:
    calls, own = seen(spark, lake, "called", at), owners(spark, lake, at)
    if calls is None:
        return spark.createDataFrame(
            [],
            "id string, reciprocity_ratio double, mean_call_s double, strangers long, neighbor_applicant_ratio double",
        )
    ends = [
        calls.join(wanted, calls[node] == wanted["id"], "left_semi").select(
            F.col(node).alias("id"), F.col(other).alias("other"), F.lit(node == "src").alias("out"), "duration_s"
        )
        for node, other in (("src", "dst"), ("dst", "src"))
    ]
    each = ends[0].unionByName(ends[1]).groupBy("id", "other").agg(
        (F.count_if("out") > 0).alias("out"), (F.count_if(~F.col("out")) > 0).alias("back"),
        F.sum("duration_s").alias("seconds"), F.count("*").alias("calls"),
    )  # fmt: skip
    if own is None:
        each = each.withColumn("applicant", F.lit(False))
    else:
        theirs = own.select(F.col("phone").alias("other"), F.lit(True).alias("applicant")).distinct()
        each = each.join(theirs, "other", "left").withColumn("applicant", F.coalesce("applicant", F.lit(False)))
    return each.groupBy("id").agg(
        F.avg((F.col("out") & F.col("back")).cast("double")).alias("reciprocity_ratio"),
        (F.sum("seconds") / F.sum("calls")).alias("mean_call_s"),
        F.count_if(~F.col("applicant")).alias("strangers"),
        F.avg(F.col("applicant").cast("double")).alias("neighbor_applicant_ratio"),
    )


def _kinds(spark: SparkSession, lake: Lake, at: datetime, candidates: DataFrame) -> DataFrame:
    parts = []
    for label in ("Phone", "Network"):
        own = as_of.own_rows(spark, lake, NODE_BY_LABEL[label], at)
        if own is not None:
            wanted = F.broadcast(candidates.where(F.col("label") == label).select(*_KEY))
            parts.append(own.join(wanted, "id").groupBy(*_KEY).agg(F.max("kind").alias("node_kind")))
    if not parts:
        return spark.createDataFrame([], "label string, id string, node_kind string")
    return parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
