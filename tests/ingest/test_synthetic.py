"""The synthetic world holds what it promises: same bytes per seed, every typology, clean numbers, honest dates."""

import datetime as dt
import gzip
import hashlib
from pathlib import Path

import phonenumbers
import polars as pl
import pytest
from stdnum import imei, luhn
from stdnum.cn import ric

from ingest.sources import SOURCES
from ingest.synthetic import WorldSettings, block_frames, write_block, write_world
from ingest.synthetic.delivery import KEYED
from ingest.synthetic.lookalikes import LOOKALIKES
from ingest.synthetic.lost_contacts import CASES
from ingest.synthetic.numbering import Numbers, permute
from ingest.synthetic.rings import KINDS

SMALL = WorldSettings(applicants=600, nights=3, seed=5, book_median=20, book_p99=100)
EPOCH = dt.date(1970, 1, 1)


@pytest.fixture(scope="module")
def world() -> dict[str, pl.DataFrame]:
    return block_frames(0, WorldSettings(applicants=2_000, nights=4, seed=7, book_median=40, book_p99=300))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def plain(phone: str | None) -> str:
    """The last eleven ASCII digits of a mobile in any spelling."""
    return "".join(str(int(c)) for c in phone or "" if c.isdigit())[-11:]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    options = {"applicants": 600, "nights": 3, "book_median": 20, "book_p99": 100}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_world(None, tmp_path / name, seed=seed, **options)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(digests(tmp_path / "a").values()).isdisjoint(digests(tmp_path / "c").values())


def test_a_block_is_the_same_whatever_was_made_before_it(tmp_path: Path) -> None:
    settings = WorldSettings(applicants=4_200, nights=2, seed=3, book_median=8, book_p99=30)
    assert settings.blocks == 3
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        for block in order:
            write_block(block, tmp_path / name, settings)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.spark
def test_spark_writes_the_same_bytes_as_one_process(spark, tmp_path: Path) -> None:
    options = {"applicants": 4_200, "nights": 2, "seed": 3, "book_median": 8, "book_p99": 30}
    by_spark = write_world(spark, tmp_path / "spark", **options)
    assert by_spark == write_world(None, tmp_path / "alone", **options)
    assert digests(tmp_path / "spark") == digests(tmp_path / "alone")


def test_the_files_hold_as_many_rows_as_counted_and_no_leftovers(tmp_path: Path) -> None:
    counts = write_block(0, tmp_path, SMALL)
    found: dict[str, int] = {}
    for path in (tmp_path / "landing").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert data[3:8] == bytes(5)  # no file name and no time in the gzip header
            lines = gzip.decompress(data).decode().splitlines()
            source = path.name.split("-")[0]
            found[source] = found.get(source, 0) + len(lines) - 1
            assert set(lines[0].split(",")) <= set(SOURCES[source].columns)
    assert found == counts.rows
    assert counts.files == len(digests(tmp_path))
    assert set(found) == set(SOURCES)


def test_plain_files_have_the_text_of_packed_ones(tmp_path: Path) -> None:
    write_block(0, tmp_path / "a", SMALL)
    write_block(0, tmp_path / "b", WorldSettings(**{**vars(SMALL), "compress": False}))
    for path in (tmp_path / "b" / "landing").rglob("*.csv"):
        packed = tmp_path / "a" / path.relative_to(tmp_path / "b")
        assert gzip.decompress(packed.with_name(packed.name + ".gz").read_bytes()) == path.read_bytes()


def test_every_typology_look_alike_and_lost_contact_is_there(world: dict[str, pl.DataFrame]) -> None:
    assert set(world["truth/rings"]["typology"]) == set(KINDS)
    assert len(KINDS) == 14
    assert set(world["truth/lookalikes"]["kind"]) == set(LOOKALIKES)
    assert set(world["truth/lost_contacts"]["case"]) == set(CASES)
    assert world["truth/rings"].group_by("ring_id").len()["len"].min() >= 3


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_is_there_for_other_seeds_too(seed: int) -> None:
    frames = block_frames(0, WorldSettings(applicants=2_000, nights=1, seed=seed, book_median=5, book_p99=20))
    assert set(frames["truth/rings"]["typology"]) == set(KINDS)
    assert set(frames["truth/lookalikes"]["kind"]) == set(LOOKALIKES)
    assert set(frames["truth/lost_contacts"]["case"]) == set(CASES)


def test_members_belong_to_one_ring_and_no_look_alike(world: dict[str, pl.DataFrame]) -> None:
    members = world["truth/rings"]["applicant_id"]
    assert members.is_unique().all()
    assert set(members).isdisjoint(world["truth/lookalikes"]["applicant_id"])
    fraud = world["truth/persons"].filter("is_fraud")["applicant_id"]
    assert set(members) <= set(fraud)


def test_rows_have_the_contracts_columns_and_required_values(world: dict[str, pl.DataFrame]) -> None:
    for name, source in SOURCES.items():
        frame = world[name]
        assert tuple(c for c in frame.columns if c != "day") == source.columns[:-1], name
        for field in source.fields:
            column = frame[field.name]
            assert not field.required or column.null_count() == 0, (name, field.name)
            assert not column.drop_nulls().str.contains('[,"\n]').any(), (name, field.name)
            if field.choices:
                assert set(column.drop_nulls()) <= set(field.choices)
            if field.type == "timestamp":
                assert column.drop_nulls().str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00$").all()


def test_nothing_is_delivered_before_it_happened(world: dict[str, pl.DataFrame]) -> None:
    for name, source in SOURCES.items():
        frame = world[name]
        for field in source.fields:
            if field.type == "timestamp":
                happened = frame[field.name].str.slice(0, 10).str.to_date().cast(pl.Int32)
                assert ((frame["day"] > happened) | happened.is_null()).all(), (name, field.name)


def test_calls_and_log_ins_come_no_earlier_than_the_application_that_opened_them(
    world: dict[str, pl.DataFrame],
) -> None:
    applied = world["applications"].group_by("applicant_id").agg(pl.col("applied_at").min().str.slice(0, 10))
    devices = world["devices"].join(applied, on="applicant_id").with_columns(pl.col("applied_at").str.to_date())
    assert (devices["day"] > devices["applied_at"].cast(pl.Int32)).mean() == 1


def test_a_key_has_one_row_a_night_but_for_exact_repeats(world: dict[str, pl.DataFrame]) -> None:
    for name, key in KEYED.items():
        assert world[name].unique().select(*key, "day").is_unique().all(), name
    versions = world["repayments"].unique().group_by(KEYED["repayments"]).len()["len"]
    assert versions.max() >= 2  # a late payment corrects the unpaid instalment


def test_numbers_pass_the_public_checks(world: dict[str, pl.DataFrame]) -> None:
    applications, phones = world["applications"], world["phones"]
    assert all(ric.is_valid(x) for x in applications["id_number"].unique())
    assert all(imei.is_valid(x) for x in applications["imei"].drop_nulls().unique())
    assert all(luhn.is_valid(x) and len(x) == 19 for x in applications["bank_card"].drop_nulls().unique())
    assert all(
        luhn.is_valid(x) and x.startswith("8986") and len(x) == 20 for x in phones["iccid"].drop_nulls().unique()
    )
    for number in [*applications["phone"][:300], *applications["employer_phone"].drop_nulls()[:300]]:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number.strip(), "CN")), number


def test_id_numbers_agree_with_gender_and_birth_date(world: dict[str, pl.DataFrame]) -> None:
    rows = world["applications"].drop_nulls(["gender", "birth_date"])
    assert (rows["id_number"].str.slice(6, 8) == rows["birth_date"].str.replace_all("-", "")).all()
    male = rows["id_number"].str.slice(16, 1).cast(pl.Int32) % 2 == 1
    assert (male == (rows["gender"] == "M")).all()


def test_unrelated_honest_people_share_no_phone(world: dict[str, pl.DataFrame]) -> None:
    human = dict(world["truth/persons"].select("applicant_id", "human_id").iter_rows())
    owners: dict[str, set[str]] = {}
    for applicant, phone in world["applications"].select("applicant_id", "phone").iter_rows():
        owners.setdefault(plain(phone), set()).add(human[applicant])
    recycled = set(world["truth/lookalikes"].filter(pl.col("kind") == "recycled_number")["applicant_id"])
    for humans in owners.values():
        assert len(humans) == 1 or {h.replace("H", "A") for h in humans} <= recycled


def test_permuted_slots_never_meet() -> None:
    import numpy as np

    slots = np.arange(200_000, dtype=np.int64)
    assert len(np.unique(permute(slots, 400_000_000, 11))) == len(slots)
    assert sorted(permute(slots, 200_000, 11)) == list(range(200_000))
    large = Numbers(10**8, 1)
    assert large.slots == 40
    ends = np.concatenate([np.arange(1_000), 10**8 - 1 - np.arange(1_000)])
    assert len({int(p) for k in range(40) for p in large.mobile(ends, k)}) == 80_000


def test_base_rates_are_those_of_the_settings(world: dict[str, pl.DataFrame]) -> None:
    contacts = world["contacts"].unique()
    book = contacts.filter(pl.col("relation") == "address_book").group_by("applicant_id").len()["len"]
    assert book.median() == pytest.approx(40, rel=0.1)
    unnamed = contacts["contact_name"].null_count() / len(contacts)
    assert unnamed == pytest.approx(0.17, abs=0.03)
    emergency = contacts.filter(pl.col("emergency") == "true").group_by("applicant_id").len()["len"]
    assert 2 < emergency.sum() / 2_000 < 3.5
    calls = world["calls"].unique()
    assert 1.5 * 12.9 < len(calls) / 2_000 < 2.5 * 12.9  # a month before applying and the last month
    labels = world["labels"].unique()
    assert 0.15 < len(labels) / 2_000 < 0.34
    spelled = contacts.filter(~pl.col("contact_phone").str.contains(r"^1\d{10}$"))
    assert 0.1 < len(spelled) / len(contacts) < 0.25


def test_fraud_among_the_labeled_is_as_asked_in_a_larger_world() -> None:
    settings = WorldSettings(applicants=20_000, nights=1, seed=2, book_median=3, book_p99=6, calls_per_month=0.5)
    frames = [block_frames(b, settings) for b in range(settings.blocks)]
    fraud = pl.concat([f["truth/persons"] for f in frames])["is_fraud"].mean()
    assert fraud == pytest.approx(settings.fraud_share, rel=0.25)
    ids = pl.concat([f["truth/persons"] for f in frames])["applicant_id"]
    assert ids.is_unique().all()
    assert len(ids) == 20_000
    rings = pl.concat([f["truth/rings"] for f in frames]).select("ring_id", "typology").unique()
    assert rings["ring_id"].is_unique().all()


def test_lost_contacts_name_their_number_and_only_open_cases_allow_a_lead(world: dict[str, pl.DataFrame]) -> None:
    lost = world["truth/lost_contacts"]
    assert set(lost["loan_id"]) <= set(world["loans"]["loan_id"])
    allowed = lost.filter("lead_allowed")
    assert allowed["right_number"].null_count() == 0
    assert set(allowed["route"]) == {"own_new_number", "known_contact", "intermediary"}
    closed = {"contacts_inside_ring", "moved_detained_dead", "contact_refused_before", "reachable_after_all"}
    assert set(lost.filter(~pl.col("lead_allowed"))["case"]) == closed


def test_bad_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        WorldSettings(applicants=0)
    with pytest.raises(ValueError, match="late_share"):
        WorldSettings(late_share=1.5)


@pytest.mark.parametrize(("applicants", "nights"), [(1, 1), (3, 2), (60, 5), (400, 40)])
def test_worlds_too_small_for_every_ring_are_still_worlds(tmp_path: Path, applicants: int, nights: int) -> None:
    counts = write_world(None, tmp_path, applicants=applicants, nights=nights, seed=4, book_median=5, book_p99=20)
    assert counts.truth["persons"] == applicants
    assert counts.rows["applications"] >= applicants
