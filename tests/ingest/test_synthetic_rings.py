"""Planted structure is really in the landing rows: each typology, look-alike and lost-contact route leaves its tell."""

from itertools import combinations

import polars as pl
import pytest

from ingest.synthetic import WorldSettings, block_frames

World = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def world() -> World:
    return block_frames(0, WorldSettings(applicants=2_000, nights=4, seed=7, book_median=40, book_p99=300))


def plain(phone: str | None) -> str:
    return "".join(str(int(c)) for c in phone or "" if c.isdigit())[-11:]


def members(world: World, typology: str) -> list[str]:
    """Members of the first ring of the typology, in order of joining."""
    rows = world["truth/rings"].filter(pl.col("typology") == typology)
    return rows.filter(pl.col("ring_id") == rows["ring_id"][0]).sort("joined_at")["applicant_id"].to_list()


def lookalike(world: World, kind: str) -> list[str]:
    rows = world["truth/lookalikes"].filter(pl.col("kind") == kind)
    return rows.filter(pl.col("group_id") == rows["group_id"][0])["applicant_id"].to_list()


def lost(world: World, case: str) -> dict[str, str]:
    return world["truth/lost_contacts"].filter(pl.col("case") == case).row(0, named=True)


def applications(world: World, who: list[str]) -> pl.DataFrame:
    """Newest row of each application, first application of each applicant."""
    rows = world["applications"].filter(pl.col("applicant_id").is_in(who)).sort("day")
    return rows.unique("applicant_id", keep="first", maintain_order=True)


def phones(world: World, who: list[str]) -> dict[str, str]:
    return {row["applicant_id"]: plain(row["phone"]) for row in applications(world, who).iter_rows(named=True)}


def called(world: World, phone: str) -> list[tuple[str, str]]:
    """(other number, day) of every call in the log of a phone."""
    rows = world["calls"].with_columns(p=pl.col("phone").map_elements(plain, return_dtype=pl.String))
    rows = rows.filter(pl.col("p") == phone)
    return [(plain(r["other_phone"]), r["started_at"][:10]) for r in rows.iter_rows(named=True)]


def listed(world: World, applicant: str, **where: object) -> set[str]:
    rows = world["contacts"].filter(pl.col("applicant_id") == applicant)
    for name, value in where.items():
        rows = rows.filter(pl.col(name) == value)
    return {plain(p) for p in rows["contact_phone"]}


def days(world: World, who: list[str]) -> list[int]:
    return applications(world, who)["applied_at"].str.slice(0, 10).str.to_date().cast(pl.Int32).to_list()


def test_fan_out_members_apply_from_one_handset_within_two_weeks(world: World) -> None:
    who = members(world, "device_fan_out")
    assert applications(world, who)["device_id"].n_unique() == 1
    assert applications(world, who)["imei"].drop_nulls().n_unique() == 1
    assert max(days(world, who)) - min(days(world, who)) <= 14


def test_a_burst_lasts_hours_and_its_forms_are_flawless(world: World) -> None:
    rows = applications(world, members(world, "application_burst"))
    times = rows["applied_at"].str.to_datetime("%Y-%m-%dT%H:%M:%S%z")
    assert (times.max() - times.min()).total_seconds() <= 5 * 3_600
    assert sum(rows.null_count().row(0)) == 0


def test_rotation_puts_one_card_in_many_handsets_and_many_cards_in_one(world: World) -> None:
    rows = world["devices"].filter(pl.col("applicant_id").is_in(members(world, "sim_handset_rotation")))
    assert rows.group_by("iccid").agg(pl.col("imei").n_unique())["imei"].max() >= 2
    assert rows.group_by("imei").agg(pl.col("iccid").n_unique())["iccid"].max() >= 3


def test_farm_handsets_are_consecutive(world: World) -> None:
    bodies = sorted(int(x[:14]) for x in applications(world, members(world, "phone_farm"))["imei"])
    assert bodies == list(range(bodies[0], bodies[0] + len(bodies)))


def test_everybody_calls_the_hidden_agent_shortly_before_applying(world: World) -> None:
    who = members(world, "packaging_agent_star")
    own = phones(world, who)
    logs = [{other for other, _ in called(world, own[w])} for w in who]
    agents = set.intersection(*logs)
    everybody = {plain(p) for p in world["applications"]["phone"]}
    agents -= everybody
    assert agents
    for one, applied in zip(applications(world, who)["applicant_id"], days(world, who), strict=True):
        last = [d for other, d in called(world, own[one]) if other in agents]
        before = [applied - pl.Series([d]).str.to_date().cast(pl.Int32)[0] for d in last]
        assert all(0 <= b <= 10 for b in before)
    assert applications(world, who)["employer"].n_unique() == 1


def test_the_witness_and_the_borrower_name_each_other_and_money_moves(world: World) -> None:
    rows = world["truth/rings"].filter(pl.col("typology") == "ab_loan")
    witness, borrower = (rows.filter(pl.col("role") == r)["applicant_id"].to_list() for r in ("witness", "borrower"))
    own = phones(world, [*witness, *borrower])
    for one in borrower:
        assert listed(world, one, emergency="true") & {own[w] for w in witness}
    assert set(world["loans"]["applicant_id"]) & set(witness)
    assert applications(world, [*witness, *borrower])["channel"].n_unique() == 1


def test_shell_and_address_rings_share_what_they_say(world: World) -> None:
    shell = applications(world, members(world, "shell_employer"))
    assert shell["employer"].n_unique() == 1
    assert shell["address"].str.extract(r"^(.*?号)").n_unique() == 1
    address = applications(world, members(world, "shared_address"))
    assert address["address"].str.extract(r"^(.*?号)").n_unique() == 1
    assert address["device_id"].n_unique() == len(address)


def test_clones_share_four_fifths_of_their_books(world: World) -> None:
    books = [listed(world, w) for w in members(world, "address_book_clone")]
    for one, other in combinations(books, 2):
        assert len(one & other) / len(one | other) >= 0.8


def test_emergency_contacts_run_in_a_circle_without_calls(world: World) -> None:
    who = members(world, "circular_emergency_contacts")
    own = phones(world, who)
    following = {w: {o for o in who if own[o] in listed(world, w, emergency="true")} for w in who}
    assert all(len(next_ones) == 1 for next_ones in following.values())
    seen, at = [], who[0]
    while at not in seen:
        seen.append(at)
        at = next(iter(following[at]))
    assert len(seen) == len(who)
    for one in who:
        assert not {other for other, _ in called(world, own[one])} & set(own.values())
    guarantees = world["relations"].filter(pl.col("relation") == "GUARANTEES")
    assert set(who) <= set(guarantees["from_id"])


def test_kits_are_silent(world: World) -> None:
    for phone in phones(world, members(world, "identity_kit")).values():
        assert not called(world, phone)


def test_the_bust_out_circle_returns_under_new_numbers(world: World) -> None:
    rows = world["truth/rings"].filter(pl.col("typology") == "loan_stacking_bust_out")
    first, second = (rows.filter(pl.col("role") == r)["applicant_id"].to_list() for r in ("first_wave", "second_wave"))
    human = dict(world["truth/persons"].select("applicant_id", "human_id").iter_rows())
    assert {human[a] for a in first} == {human[a] for a in second}
    assert set(phones(world, first).values()).isdisjoint(phones(world, second).values())
    assert min(days(world, second)) > min(days(world, first))


def test_camouflage_grows_slowly_in_pairs_and_calls_honest_people(world: World) -> None:
    who = members(world, "camouflage")
    rows = applications(world, who)
    assert rows.group_by("device_id").len()["len"].max() == 2
    assert max(days(world, who)) - min(days(world, who)) >= 30
    assert sum(len(called(world, p)) for p in phones(world, who).values()) > 14 * len(who)


def test_the_insider_sells_to_all_members(world: World) -> None:
    channels = applications(world, members(world, "insider_channel"))["channel"]
    assert channels.n_unique() == 1
    assert channels[0].startswith("sales-")


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("family_device", "device_id"),
        ("dormitory_wifi", "ip"),
        ("village_agent", "channel"),
        ("big_honest_employer", "employer"),
        ("company_bulk_sims", "employer"),
        ("honest_campaign", "channel"),
    ],
)
def test_look_alikes_share_one_honest_thing(world: World, kind: str, column: str) -> None:
    who = lookalike(world, kind)
    assert applications(world, who)[column].drop_nulls().n_unique() == 1
    assert not world["truth/persons"].filter(pl.col("applicant_id").is_in(who))["is_fraud"].any()


def test_shop_twins_estate_and_recycled_number_are_there(world: World) -> None:
    shop = world["devices"].filter(pl.col("applicant_id").is_in(lookalike(world, "phone_shop_device")))
    assert shop.group_by("device_id").agg(pl.col("applicant_id").n_unique())["applicant_id"].max() >= 8
    twins = applications(world, lookalike(world, "twins_and_same_names"))
    assert twins["id_number"].str.slice(6, 8).n_unique() == len(twins) - 1
    assert twins["name"].n_unique() <= len(twins) - 2
    estate = applications(world, lookalike(world, "new_housing_estate"))["address"]
    assert estate.drop_nulls().str.extract(r"^(.*?号)").n_unique() == 1
    before, after = lookalike(world, "recycled_number")
    number = phones(world, [before])[before]
    assert number == phones(world, [after])[after]
    history = world["phones"].filter(pl.col("phone").map_elements(plain, return_dtype=pl.String) == number)
    closed = history["closed_at"].drop_nulls().str.slice(0, 10).str.to_date()[0]
    opened = history["opened_at"].str.slice(0, 10).str.to_date().max()
    assert (opened - closed).days >= 90


def test_a_new_number_shows_in_the_old_handset_the_friends_book_or_the_circle(world: World) -> None:
    same = lost(world, "new_number_same_handset")
    seen = world["phones"].with_columns(p=pl.col("phone").map_elements(plain, return_dtype=pl.String))
    old_imei = seen.filter(pl.col("p") == phones(world, [same["applicant_id"]])[same["applicant_id"]])["imei"][0]
    assert old_imei in seen.filter(pl.col("p") == same["right_number"])["imei"].to_list()

    book = lost(world, "new_number_in_friends_book")
    contacts = world["contacts"].with_columns(p=pl.col("contact_phone").map_elements(plain, return_dtype=pl.String))
    names = contacts.filter(pl.col("p") == book["right_number"])
    old = contacts.filter(pl.col("p") == phones(world, [book["applicant_id"]])[book["applicant_id"]])
    assert set(names["contact_name"]) <= set(old["contact_name"])
    assert set(names["applicant_id"]) <= set(old["applicant_id"])

    circle = lost(world, "new_number_same_calling_circle")
    calls = world["calls"].with_columns(
        p=pl.col("phone").map_elements(plain, return_dtype=pl.String),
        o=pl.col("other_phone").map_elements(plain, return_dtype=pl.String),
    )
    before = calls.filter(pl.col("o") == phones(world, [circle["applicant_id"]])[circle["applicant_id"]])
    after = calls.filter(pl.col("o") == circle["right_number"])
    assert len(set(after["p"]) & set(before["p"])) >= 3


def test_a_lost_borrower_who_applied_again_is_the_same_human(world: World) -> None:
    row = lost(world, "reapplied_new_number")
    human = dict(world["truth/persons"].select("applicant_id", "human_id").iter_rows())
    own = phones(world, [a for a, h in human.items() if h == human[row["applicant_id"]]])
    assert row["right_number"] in own.values()
    assert own[row["applicant_id"]] != row["right_number"]


def test_known_contacts_are_named_and_a_ring_leaves_no_honest_lead(world: World) -> None:
    for case in ("family_reachable", "recycled_to_stranger", "only_colleague_or_landlord", "contact_refused_before"):
        row = lost(world, case)
        assert row["right_number"] in listed(world, row["applicant_id"], emergency="true"), case
    row = lost(world, "contacts_inside_ring")
    ring = members(world, "circular_emergency_contacts")
    rings = world["truth/rings"]
    ring_id = rings.filter(pl.col("applicant_id") == row["applicant_id"])["ring_id"][0]
    ring = rings.filter(pl.col("ring_id") == ring_id)["applicant_id"].to_list()
    assert listed(world, row["applicant_id"]) <= set(phones(world, ring).values())


def test_lost_borrowers_do_not_answer_their_old_number(world: World) -> None:
    attempts = world["contact_attempts"].unique("attempt_id", keep="first")
    for row in world["truth/lost_contacts"].iter_rows(named=True):
        own = phones(world, [row["applicant_id"]])[row["applicant_id"]]
        rows = attempts.filter(pl.col("loan_id") == row["loan_id"])
        outcomes = {r["outcome"] for r in rows.iter_rows(named=True) if plain(r["phone"]) == own}
        assert ("right_person" in outcomes) == (row["case"] == "reachable_after_all")
