"""Numbers that may lead to a lost borrower, and by which road: the borrower's own new number, or somebody to ask.

Each road is looked down on its own and says which nodes it leads over; what a number looks like on all roads together
is put side by side in `algorithms.leads.evidence`. Hubs lead nowhere.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from algorithms.leads.records import Records

SHARED_HANDSET = 4  # persons: a handset of more is nobody's own
_IDENTITIES = ("name_and_birth_date", "bank_card", "match", "id_number", "answered", "own_record")  # the surest last
SHARED_KEY = 5  # persons: what more have in common is nobody's own
KIN = ("spouse", "parent", "child", "sibling", "relative")
HALF_LIFE_DAYS = 180.0  # of what a call says about a circle; logs may end months before the silence
SIGNATURE = 20  # strongest partners that make a calling fingerprint (Cortes, Pregibon and Volinsky 2001)
LITTLE_SAID = 5.0  # about three calls of two minutes: of less, shares mean little
PARTNER_NUMBERS = 200  # numbers looked at around one partner
MOST_CALLED = 12  # numbers of the circle that are candidates without being named, if they answered more than once
NAMED = 40  # named contacts that are candidates
_BILLION = 1e9

ROADS = "handset", "identity", "books", "circle"
Road = DataFrame  # `person_id`, `phone`, `via` array, and columns of its own; together with `person_id` a key


def silent_people(states: DataFrame, ownership: DataFrame) -> DataFrame:
    """Return who is looked for: `person_id` (key), `silent_from`, `failing_since`, `new_numbers`, and:

    `ever` are the numbers that were the borrower's before the silence; `confirmed_at` says until when any of them was.
    """
    people = states.where("silent").groupBy("person_id").agg(
        F.min("silent_from").alias("silent_from"), F.min("failing_since").alias("failing_since"),
        F.first("new_numbers").alias("new_numbers"),
    )  # fmt: skip
    known = ownership.join(people, "person_id").where(~F.array_contains("new_numbers", F.col("phone")))
    before = known.groupBy("person_id").agg(
        F.max("confirmed_at").alias("confirmed_at"), F.collect_set("phone").alias("ever")
    )
    return people.join(before, "person_id")


def old_numbers(people: DataFrame, ownership: DataFrame) -> DataFrame:
    """Return the numbers that were theirs: `person_id`, `phone` (together the key), `failing_since`, `held_to`."""
    old = people.select("person_id", "failing_since", F.explode("ever").alias("phone"))
    return old.join(ownership.select("person_id", "phone", "held_to"), ["person_id", "phone"])


def _total(column: str | Column) -> Column:
    """Return a sum that does not depend on the order of the rows, as one of doubles would: of whole billionths."""
    return F.sum(_billionths(column)) / _BILLION


def _billionths(column: str | Column) -> Column:
    return F.round((F.col(column) if isinstance(column, str) else column) * _BILLION).cast("long")


def same_handset(records: Records, people: DataFrame) -> Road:
    """Return numbers whose card was put into the borrower's handset since: `handset_persons`, `handset_at`."""
    uses = records.events("uses_device").select(F.col("src").alias("user"), F.col("dst").alias("device"))
    hub = records.barred.select(F.col("id").alias("device"))
    mine = uses.join(people.select(F.col("person_id").alias("user")), "user", "left_semi").distinct()
    mine = mine.join(hub, "device", "left_anti")
    users = uses.join(mine.select("device").distinct(), "device", "left_semi").distinct()
    shared = users.groupBy("device").agg(F.count("*").alias("handset_persons"))
    cards = records.events("device_holds_sim").groupBy(F.col("src").alias("device"), F.col("dst").alias("sim")).agg(
        F.min("at").alias("handset_at")
    )  # fmt: skip
    numbers = records.events("phone_holds_sim").select(F.col("src").alias("phone"), F.col("dst").alias("sim"))
    found = (
        mine.join(shared.where(f"handset_persons <= {SHARED_HANDSET}"), "device")
        .join(cards, "device").join(numbers.distinct(), "sim")
        .withColumnRenamed("user", "person_id").join(people, "person_id")
        .where((F.col("handset_at") > F.col("confirmed_at")) & ~F.array_contains("ever", F.col("phone")))
    )  # fmt: skip
    return found.groupBy("person_id", "phone").agg(
        F.max(F.struct(-F.col("handset_persons"), "handset_at", F.array("device", "sim").alias("via"))).alias("_")
    ).select("person_id", "phone", "_.via", (-F.col("_.col1")).alias("handset_persons"), "_.handset_at")  # fmt: skip


def same_human(records: Records, people: DataFrame) -> Road:
    """Return numbers under which the borrower applied, or was reported, since: `identity` says what proves it.

    `answered` (the borrower once answered on it, and nobody tried it since), `own_record` (the same customer, or the
    same id number at a carrier), `id_number`, `match` (another system says that two customers are one person, score 0.8
    or more), `bank_card`, `name_and_birth_date`.
    """
    since = people.select("person_id", "confirmed_at", "silent_from", "ever")
    own = records.own_numbers.groupBy("person_id", "phone").agg(
        F.min("at").alias("at"), F.min("answered").alias("answered")
    ).join(people, "person_id")  # fmt: skip
    mine = own.where(F.array_contains("new_numbers", F.col("phone"))).select(
        "person_id",
        "phone",
        F.when(F.col("answered"), "answered").otherwise("own_record").alias("identity"),
        "at",
        F.array("person_id").alias("via"),
    )
    every = records.raw("applications")
    applied = every.where("phone IS NOT NULL")
    keys = {
        "id_number": F.col("id_number"), "bank_card": F.col("bank_card"),
        "name_and_birth_date": F.concat("name", F.lit("|"), "birth_date"),
    }  # fmt: skip
    them = every.join(since, "person_id")
    parts = [mine]
    for identity, column in keys.items():
        known = them.select(
            "person_id", "confirmed_at", "ever", F.col("applied_at").alias("then"), column.alias("key")
        ).where("key IS NOT NULL AND then <= confirmed_at").drop("then").distinct()  # fmt: skip
        others = applied.select(
            F.col("person_id").alias("other"), "phone", "application_id", F.col("applied_at").alias("at"),
            column.alias("key"),
        ).join(known.select("key").distinct(), "key")  # fmt: skip
        few = others.groupBy("key").agg(F.countDistinct("other").alias("n")).where(f"n <= {SHARED_KEY}")
        others = others.join(few.select("key"), "key", "left_semi")
        parts.append(_since(known.join(others, "key"), identity, F.array("other", "application_id")))
    same = records.events("same_person").where("score >= 0.8").select("src", "dst")
    both = same.union(same.select("dst", "src")).toDF("person_id", "other").distinct()
    numbers = applied.select(F.col("person_id").alias("other"), "phone", F.col("applied_at").alias("at"))
    parts.append(_since(since.join(both, "person_id").join(numbers, "other"), "match", F.array("other")))
    order = F.array(*(F.lit(name) for name in _IDENTITIES))
    best = F.max(F.struct(F.array_position(order, F.col("identity")), "at", "identity", "via")).alias("_")
    road = reduce(DataFrame.unionByName, parts).groupBy("person_id", "phone").agg(best)
    return road.select("person_id", "phone", "_.via", "_.identity", F.col("_.at").alias("identity_at"))


def _since(pairs: DataFrame, identity: str, via: Column) -> DataFrame:
    fresh = (F.col("at") > F.col("confirmed_at")) & (F.col("other") != F.col("person_id"))
    return pairs.where(fresh & ~F.array_contains("ever", F.col("phone"))).select(
        "person_id", "phone", F.lit(identity).alias("identity"), "at", via.alias("via")
    )


def entries_of(records: Records, old: DataFrame) -> DataFrame:
    """Return where old numbers stand in address books, the first time: `person_id`, `owner`, `contact_name` (together
    the key), `at`.
    """
    books = records.events("lists_contact").select(
        F.col("src").alias("owner"), F.col("dst").alias("phone"), "contact_name", "at"
    )
    found = books.join(old.select("person_id", "phone"), "phone")
    return found.groupBy("person_id", "owner", "contact_name").agg(F.min("at").alias("at"))


def friends_books(records: Records, people: DataFrame, entries: DataFrame) -> Road:
    """Return numbers that others list since under the name they had the old number under.

    A role word (mother, courier) is no name, and an owner who lists many numbers under one name says nothing.

    Args:
        entries: `entries_of` the old numbers.

    Returns:
        A road with `book_count` (owners who noted the new number after the old one) and `beside_count` (owners whose
        book came with both).
    """
    named = F.col("contact_name").like("nam_%")
    knew = entries.where(named & (F.col("owner") != F.col("person_id"))).withColumnRenamed("at", "old_at")
    knew = knew.join(people.select("person_id", "silent_from", "ever"), "person_id")
    books = records.events("lists_contact").where(named).select(
        F.col("src").alias("owner"), "contact_name", F.col("dst").alias("new"), "at"
    )  # fmt: skip
    now = books.join(knew.select("owner").distinct(), "owner", "left_semi").groupBy("owner", "contact_name", "new").agg(
        F.min("at").alias("at")
    )  # fmt: skip
    beside = knew.join(now, ["owner", "contact_name"])
    several = F.count("*").over(Window.partitionBy("person_id", "owner", "contact_name"))
    fresh = (F.col("at") > F.col("silent_from")) & ~F.array_contains("ever", F.col("new"))
    found = beside.withColumn("several", several).where(fresh & (F.col("several") <= 4))
    later = F.when(F.col("at") > F.col("old_at"), F.col("owner"))
    return found.groupBy("person_id", F.col("new").alias("phone")).agg(
        F.slice(F.sort_array(F.collect_set("owner")), 1, 5).alias("via"),
        F.countDistinct(later).cast("double").alias("book_count"),
        F.countDistinct(F.when(later.isNull(), F.col("owner"))).cast("double").alias("beside_count"),
    )


def circle(records: Records, old: DataFrame, zone: str = "Asia/Shanghai") -> DataFrame:
    """Return with whom the old numbers talked before they failed, hubs and each other aside: the calling fingerprint;
    and since.

    Calls of a number after it passed on to somebody else are that person's.

    Args:
        old: `old_numbers`.

    Returns:
        `person_id`, `other` (together the key), `touch_count` (answered calls since the first failure), and of before:
        `calls`, `answered`, `outs`, `ins`, `last_at`, `working` (calls on working days from 9 to 18 in `zone`), `said`
        (answered calls, each halved every `HALF_LIFE_DAYS` before the failure and grown by its length), `share` of all
        that was said, and `place` by it, from 1. `called_by` is one of the old numbers that called the other,
        `called_to` one that the other called.
    """
    talks = records.talks_of(old).where("held_to IS NULL OR at < held_to").distinct()  # a call in both logs is one
    talks = talks.join(records.barred.select(F.col("id").alias("other")), "other", "left_anti")
    age_days = (F.unix_micros("failing_since") - F.unix_micros("at")) / 86_400e6
    said = F.when(F.col("seconds") > 0, F.log1p(F.col("seconds") / 30.0)).otherwise(F.lit(0.05))
    before, answered = F.col("at") <= F.col("failing_since"), F.col("seconds") > 0

    def count(of: Column) -> Column:
        return F.sum((before & of).cast("int"))

    local = F.from_utc_timestamp("at", zone)
    working = F.dayofweek(local).between(2, 6) & F.hour(local).between(9, 17)
    sums = talks.groupBy("person_id", "other").agg(
        count(F.lit(True)).alias("calls"), count(answered).alias("answered"), count(F.col("out")).alias("outs"),
        count(~F.col("out")).alias("ins"), count(working).alias("working"),
        F.sum((~before & answered).cast("int")).alias("touch_count"),
        F.max(F.when(before, F.col("at"))).alias("last_at"),
        F.max(F.when(before & F.col("out"), F.col("phone"))).alias("called_by"),
        F.max(F.when(before & ~F.col("out"), F.col("phone"))).alias("called_to"),
        _total(F.when(before, F.pow(F.lit(2.0), -age_days / HALF_LIFE_DAYS) * said).otherwise(0.0)).alias("said"),
    )  # fmt: skip
    own = old.select("person_id", F.col("phone").alias("other"))  # who calls from one number to another talks to nobody
    sums = sums.join(own, ["person_id", "other"], "left_anti")
    mine = Window.partitionBy("person_id")
    whole = F.sum(_billionths("said")).over(mine) / _BILLION + LITTLE_SAID
    return sums.withColumn("share", F.col("said") / whole).withColumn(
        "place", F.row_number().over(mine.orderBy(F.desc("said"), "other"))
    )


def calling_circle(records: Records, people: DataFrame, partners: DataFrame) -> Road:
    """Return numbers that talk since with several of those with whom the old number talked, and did not before.

    Returns:
        A road with `circle_count` (partners in common), `circle_dice` (what share of the old fingerprint they are),
        `circle_rarity` (sum of 1 / ln(degree) of the partners in common: Adamic and Adar 2003), and `circle_out`:
        beside each of `via`, whether that partner called the number.
    """
    mine = partners.where(f"place <= {SIGNATURE} AND answered > 0").select(
        "person_id", F.col("other").alias("partner"), "said"
    )
    told = records.talks_of(mine.select(F.col("partner").alias("phone")).distinct()).where("seconds > 0").select(
        F.col("phone").alias("partner"), F.col("other").alias("phone"), "at", "out"
    )  # fmt: skip
    pairs = told.groupBy("partner", "phone").agg(
        F.min("at").alias("first_at"), F.max("at").alias("last_at"), F.max("out").alias("out")
    )  # fmt: skip
    of = Window.partitionBy("partner")
    pairs = pairs.withColumns({
        "degree": F.count("*").over(of), "turn": F.row_number().over(of.orderBy(F.desc("last_at"), "phone")),
    }).where(f"turn <= {PARTNER_NUMBERS}")  # fmt: skip
    hub = records.barred.select(F.col("id").alias("phone"))
    since = mine.join(people.select("person_id", "silent_from"), "person_id")
    met = pairs.join(since, "partner").where("first_at > silent_from").join(hub, "phone", "left_anti")
    met = met.join(people.select("person_id", "ever"), "person_id").where(~F.array_contains("ever", F.col("phone")))
    whole = mine.groupBy("person_id").agg(_total("said").alias("whole"))
    sums = met.groupBy("person_id", "phone").agg(
        F.slice(F.sort_array(F.collect_set(F.struct("partner", "out"))), 1, 5).alias("calls_of"),
        F.count("*").cast("double").alias("circle_count"),
        _total("said").alias("known_said"),
        _total(1.0 / F.log(F.greatest(F.col("degree"), F.lit(2)) + 0.0)).alias("circle_rarity"),
    )
    return sums.where("circle_count >= 2").join(whole, "person_id").select(
        "person_id", "phone", F.col("calls_of.partner").alias("via"), F.col("calls_of.out").alias("circle_out"),
        "circle_count", "circle_rarity", (F.col("known_said") / F.col("whole")).alias("circle_dice"),
    )  # fmt: skip


def listed(records: Records, people: DataFrame) -> DataFrame:
    """Return the borrowers' own address books, hubs and their own numbers aside: `person_id`, `phone`, `listed` (true),
    `word` (when and as what it was named), `emergency`, `named_at`. A number may stand there several times.
    """
    ever = people.select("person_id", "ever")
    books = records.events("lists_contact").select(
        F.col("src").alias("person_id"), F.col("dst").alias("phone"), F.lit(True).alias("listed"),
        F.when(F.col("relation") != "address_book", F.struct("at", "relation")).alias("word"),
        F.coalesce("emergency", F.lit(False)).alias("emergency"), F.col("at").alias("named_at"),
    )  # fmt: skip
    hub = records.barred.select(F.col("id").alias("phone"))
    theirs = records.together(books, "person_id").join(ever, "person_id")
    return theirs.where(~F.array_contains("ever", F.col("phone"))).drop("ever").join(hub, "phone", "left_anti")


def talked(partners: DataFrame) -> DataFrame:
    """Return what calls say of whom one may ask: `person_id`, `phone` (together the key), and columns of `circle`."""
    return partners.select("person_id", F.col("other").alias("phone"), "calls", "answered", "outs", "ins", "last_at",
                           "working", "touch_count", "called_by", "called_to", "share", "place")  # fmt: skip


def side_by_side(parts: list[DataFrame], several: DataFrame | None = None) -> DataFrame:
    """Return one row for each `person_id` and `phone` of any part, with the columns of all.

    Parts that lie together by person are not moved.

    Args:
        parts: `person_id` and `phone` are the key of each.
        several: a part that may hold several rows of a number; the largest value of each column counts.
    """
    key = ["person_id", "phone"]
    told = [[name for name in part.columns if name not in key] for part in parts]
    packed = [
        part.select(*key, F.struct(*names).alias(f"_{i}"))
        for i, (part, names) in enumerate(zip(parts, told, strict=True))
    ]
    every = packed if several is None else [several, *packed]
    rows = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), every)
    one = rows.groupBy(*key).agg(*(F.max(name).alias(name) for name in rows.columns if name not in key))
    of_each = [F.col(f"_{i}.{name}") for i, names in enumerate(told) for name in names]
    return one.select(*(name for name in one.columns if not name.startswith("_")), *of_each)


def worth_a_look(rows: DataFrame) -> DataFrame:
    """Return the rows of numbers on a road to the borrower's own, and of whom one may ask: contacts whom the borrower
    named, those most talked with before, and those still in touch, `NAMED` at most.

    Args:
        rows: `listed`, `talked` and the roads `side_by_side`.

    Returns:
        The rows with `relation` (null unless listed) in place of `word`.
    """
    relation = F.when(F.col("listed"), F.coalesce(F.col("word.relation"), F.lit("address_book")))
    told = rows.withColumn("relation", relation).drop("word")
    named = F.coalesce((F.col("relation") != "address_book") | F.col("emergency"), F.lit(False))
    close = F.coalesce((F.col("place") <= MOST_CALLED) & (F.col("answered") > 1), F.lit(False))
    still = F.coalesce(F.col("touch_count") > 0, F.lit(False))
    road = reduce(lambda a, b: a | b, (F.col(f"via_{name}").isNotNull() for name in ROADS))
    told = told.withColumn("_ask", named | close | still).where(F.col("_ask") | road)
    first = F.coalesce("emergency", F.lit(False)).desc(), F.coalesce("place", F.lit(10**6)), "phone"
    turn = F.row_number().over(Window.partitionBy("person_id").orderBy(F.desc("_ask"), *first))
    return told.withColumn("_turn", turn).where((F.col("_turn") <= NAMED) | road).drop("_turn", "_ask")
