"""Who is lost, whose number it is, and which number to call next, as of a day."""

import datetime as dt
import json
import shutil

import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.contact.policy import read_policy
from algorithms.leads import night
from algorithms.leads.blend import read_rules
from algorithms.leads.leads import Law
from algorithms.leads.links import ROWS, LinkAnswer, LinkQuestion
from algorithms.leads.night import find_leads
from algorithms.rings.results import MEMBERS, RINGS, write_day
from graph import as_of
from graph.lake import Lake
from graph.schema import EDGES
from tests.algorithms.silent_world import DAY, SilentWorld, days, silent_world

AT = dt.datetime.combine(DAY, dt.time(23, 59, 59), dt.UTC)


class Found:
    """A night's tables."""

    def __init__(self, lake: Lake):
        self.lake = lake
        self.leads = self.table(lake.results("leads")).sort("loan_id", "rank")
        self.states = self.table(lake.results("contact_states")).sort("loan_id")

    def table(self, path) -> pl.DataFrame:
        rows = pl.DataFrame(pl.from_arrow(DeltaTable(path).to_pyarrow_table()))
        return rows.filter(pl.col("as_of_date") == DAY)

    def first(self, name: str) -> dict | None:
        rows = self.leads.filter((pl.col("loan_id") == f"L-{name}") & (pl.col("rank") == 1))
        return rows.row(0, named=True) if len(rows) else None

    def state(self, name: str) -> dict:
        return self.states.filter(pl.col("loan_id") == f"L-{name}").row(0, named=True)


class Model:
    """A model of links that holds one number likely, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: dict[str, pl.DataFrame] = {}

    def __call__(self, asked: LinkQuestion) -> LinkAnswer:
        for name in ("calls", "contacts", "old", "candidates"):
            rows = pl.DataFrame(pl.from_arrow(getattr(asked, name).toArrow()))
            self.asked[name] = rows.sort(rows.columns)
        rows = [("per_spouse", SilentWorld.new("spouse"), 2.0)]
        return LinkAnswer(pl.DataFrame(rows, ROWS, orient="row"), {"how": "told"})


def _ring(lake: Lake) -> None:
    ring = dict.fromkeys(RINGS.names) | {"ring_id": "ring_1", "as_of_date": DAY, "status": "born", "score": 0.9}
    write_day(lake.results("rings"), DAY, [ring], RINGS)
    members = [dict.fromkeys(MEMBERS.names) | {"ring_id": "ring_1", "as_of_date": DAY, "person_id": f"per_{name}"}
               for name in ("ringed", "accomplice")]  # fmt: skip
    write_day(lake.results("ring_members"), DAY, members, MEMBERS)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def found(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, model: Model) -> Found:
    lake = Lake(tmp_path_factory.mktemp("leads") / "lake")
    silent_world().write(lake)
    _ring(lake)
    told = find_leads(spark, lake, DAY, AT, Law((read_policy("cn"),)), None, model)
    assert told["links"] == {"how": "told"}
    return Found(lake)


@pytest.mark.parametrize(
    ("name", "state", "silent"),
    [
        ("handset", "lost", True),
        ("listed", "lost", True),  # one call to an invalid number is proof
        ("recycled", "lost", True),  # its carrier gave the number to somebody else
        ("closed", "lost", True),  # its carrier says since when it is closed, whenever it said so
        ("unlisted", "reachable", False),  # without a number of one's own, but reached
        ("fresh", "unknown", False),  # late by a day, and nobody called
        ("unproven", "doubtful", True),  # two failures are none
        ("alive", "doubtful", False),  # the number's own log goes on
        ("paid", "doubtful", False),
        ("refused", "refused", False),
        ("dead", "deceased", False),
        ("found", "reachable", False),
    ],
)
def test_a_borrower_is_lost_only_if_every_own_number_gave_out_and_no_sign_of_life_came(found, name, state, silent):
    told = found.state(name)
    assert (told["state"], told["silent"]) == (state, silent)
    assert (told["lost_since"] is not None) == (state == "lost")


@pytest.mark.parametrize("name", ["handset", "listed", "circle", "closed"])
def test_the_borrowers_own_new_number_comes_first(found, name):
    lead = found.first(name)
    assert lead["phone"] == SilentWorld.new(name)
    assert (lead["route"], lead["call_to"], lead["allowed"]) == ("own_new_number", "debtor", True)


def test_who_applied_again_under_a_new_number_is_found_by_the_id_number(found):
    lead = found.first("reapplied")
    assert lead["phone"] == SilentWorld.new("reapplied")
    assert lead["probability"] > 0.9
    assert lead["via"] == ["per_reapplied", "per_again", f"P-again-{days(20):%m%d}", lead["phone"]]


def test_a_spouse_who_talked_with_the_borrower_may_be_asked(found):
    lead = found.first("spouse")
    assert lead["phone"] == SilentWorld.new("spouse")
    assert (lead["route"], lead["call_to"], lead["related"], lead["allowed"]) == (
        "known_contact", "third_person", True, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("refusing", "refused"),
        ("unproven", "not_lost"),
        ("waiting", "debtor_first"),
        ("answered", "debtor_first"),  # on the number on which the borrower answered, nobody has tried since
    ],
)
def test_a_call_that_the_law_denies_is_shown_with_its_rule_and_not_allowed(found, name, rule):
    lead = found.leads.filter((pl.col("loan_id") == f"L-{name}") & (pl.col("phone") == SilentWorld.new(name))).row(
        0, named=True
    )
    assert (lead["allowed"], lead["rule"]) == (False, rule)


@pytest.mark.parametrize(
    "name", ["alive", "dead", "refused", "found", "paid", "hotline", "ringed", "unlisted", "fresh"]
)
def test_nobody_is_named_where_nobody_should_be(found, name):
    assert found.first(name) is None


def test_who_refused_about_one_borrower_is_not_called_about_another(found):
    asked = found.leads.filter(pl.col("phone") == "tel_landlord")
    assert set(asked["loan_id"]) == {"L-tenant", "L-neighbor"}
    assert set(asked["rule"]) == {"refused"}


@pytest.mark.parametrize(("name", "phone"), [("husband", SilentWorld.old("wife")), ("flat", SilentWorld.new("flat"))])
def test_a_number_that_the_borrower_talked_with_or_listed_is_never_called_as_the_borrowers(found, name, phone):
    rows = found.table(found.lake.features("lead_candidates"))
    known = rows.filter((pl.col("person_id") == f"per_{name}") & (pl.col("phone") == phone))
    assert known["own"].to_list() == [False]
    asked = found.leads.filter((pl.col("loan_id") == f"L-{name}") & (pl.col("phone") == phone))
    assert set(asked["call_to"]) <= {"third_person"}


def test_own_old_numbers_that_call_each_other_are_nobody_to_ask(found):
    assert found.state("two")["state"] == "lost"
    rows = found.table(found.lake.features("lead_candidates"))
    assert not rows.filter(pl.col("phone").is_in(["tel_two", SilentWorld.old("two")])).height


def test_every_relationship_and_node_of_the_evidence_stands_in_the_graph_of_that_day(spark, found):
    there = {
        (edge.relationship, row["src"], row["dst"])
        for edge in EDGES
        if as_of.exists(found.lake, f"{edge.table}_events")
        for row in as_of.edges(spark, found.lake, edge, AT).select("src", "dst").collect()
    }
    nodes = {end for _, src, dst in there for end in (src, dst)}
    items = [item for text in found.leads["evidence"] for item in json.loads(text)]
    named = {(r["relationship"], r["src"], r["dst"]) for item in items for r in item["relationships"]}
    assert named
    assert named <= there
    assert {node for item in items for node in item["nodes"]} <= nodes
    assert {node for via in found.leads["via"] for node in via} <= nodes


def test_the_chances_of_a_borrowers_numbers_add_up_to_one_at_most(found):
    rows = found.table(found.lake.features("lead_candidates"))
    assert rows.group_by("person_id").agg(pl.col("right").sum())["right"].max() < 1
    assert rows.select(pl.col("probability").is_between(0, 1).all()).item()


def test_what_a_model_of_links_says_is_a_term_of_the_candidates_it_knows_and_0_of_others(found):
    rows = found.table(found.lake.features("lead_candidates"))
    rules = read_rules()
    said = rows.select("phone", link=pl.col("x").list.get(rules.names.index("link") - len(rules.nobody)))
    assert said.filter(pl.col("link") != 0).rows() == [(SilentWorld.new("spouse"), 2.0)]


def test_a_model_of_links_is_asked_with_the_borrowers_own_calls_and_books(found, model):
    calls, books, old = (model.asked[name] for name in ("calls", "contacts", "old"))
    recycled = SilentWorld.old("recycled")
    assert len(calls.filter(pl.col("dst") == SilentWorld.new("spouse"))) == 8
    assert not len(calls.filter(pl.col("dst") == recycled))  # those who call its next holder
    assert (SilentWorld.old("spouse"), SilentWorld.new("spouse")) in books.select("src", "dst").rows()
    assert "tel_95588" not in books["dst"].to_list()
    assert (old["silent_from"] <= old["failing_since"]).all()


def test_a_recycled_number_is_no_longer_its_old_holders(found):
    owners = found.table(found.lake.results("phone_ownership"))
    told = owners.filter(pl.col("phone") == SilentWorld.old("recycled")).row(0, named=True)
    assert told["probability"] < 0.05
    assert told["held_to"] == days(95)
    assert "opened_later" in told["why"]
    kept = owners.filter(pl.col("phone") == SilentWorld.old("found")).row(0, named=True)
    assert kept["probability"] > 0.9
    assert kept["held_to"] is None


@pytest.mark.drill
@pytest.mark.parametrize(
    ("sources", "states"),
    [
        (("applications", "loans", "repayments"), {"deceased", "unknown"}),
        (("loans", "repayments", "contact_attempts"), {"deceased", "unknown", "doubtful", "reachable"}),
        ((), set()),
    ],
)
def test_a_lake_of_few_sources_names_nobody_and_ends_well(spark, tmp_path, sources, states):
    lake = Lake(tmp_path / "lake")
    silent_world().write(lake)
    for folder in [*(lake.root / "raw").iterdir(), *(lake.root / "graph").iterdir()]:
        if folder.name not in (*sources, "applicant_person"):
            shutil.rmtree(folder)
    told = find_leads(spark, lake, DAY, AT, Law((read_policy("cn"),)))
    assert set(told["states"]) == states
    assert told["rows_out"] == 0


def test_nothing_that_happens_or_is_told_later_changes_a_night_nor_do_rows_put_in_order_first(
    spark, found, model, monkeypatch
):
    """A planted future: calls, reports, attempts and contacts after the day, and late deliveries of earlier ones."""
    monkeypatch.setattr(night, "MANY", 1)  # as for very many borrowers; the first night was for few
    later = SilentWorld(DAY + dt.timedelta(days=1))
    later.attempts("spouse", "right_person", start=200)
    later.attempts("unproven", "no_answer", start=20)  # happened before, told after
    later.attempts("alive", "invalid_number", start=21)
    later.contact("friend", "tel_future", "nam_wang", at=days(16))
    later.call(SilentWorld.old("handset"), "tel_grocer", days(100))
    later.card(SilentWorld.new("spouse"), "sim_future", days(101), opened_at=days(100))
    later.applies("future", phone="tel_future", at=days(25), id_number="idn_1")
    later.write(found.lake)
    known_then = SilentWorld()  # of that day's delivery, and dated after it
    known_then.attempts("spouse", "right_person", start=180)
    known_then.call(SilentWorld.old("handset"), "tel_grocer", days(180))
    known_then.write(found.lake)
    later_asked = Model()
    find_leads(spark, found.lake, DAY, AT, Law((read_policy("cn"),)), None, later_asked)
    again = Found(found.lake)
    assert all(later_asked.asked[name].equals(rows) for name, rows in model.asked.items())
    assert again.leads.equals(found.leads)
    assert again.states.equals(found.states)
