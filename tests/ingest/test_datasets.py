"""The data sets of `../shared/data` through their mappings: every line is read, skipped by `where` or refused."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from graph.tokens import Keys
from ingest.check import check
from ingest.files import LandingFile, landing_files
from ingest.landing import Part, PartCounts, process
from ingest.mapping import read_mapping

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = {"berka": "berka", "credit_sim_zh": "credit-sim-zh", "finbench": "finbench"}
TYPED = {
    "berka": {"applications": 682, "loans": 682, "labels": 682, "relations": 12_732},
    "credit_sim_zh": {"applications": 11_948, "labels": 250, "devices": 107_532, "relations": 113_506},
    "finbench": {"applications": 2_888, "loans": 2_888, "labels": 2_160, "relations": 168_287},
}
# Sign-ins of the increment through media that neither of its files names: their kind is unknown.
REFUSED = {"finbench": {"from_kind: missing_value": 4_828}}
NOTED = {"berka": {"under_18"}, "credit_sim_zh": {"under_18"}, "finbench": {"joins_itself"}}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA.name} of the shared folder is not here")


@cache
def ingested(name: str, work: Path) -> list[tuple[LandingFile, PartCounts]]:
    keys, mapping, landing = work / "keys.json", read_mapping(name), DATA / FOLDERS[name]
    Keys.create(keys)
    found = [file for file, _ in landing_files(landing, mapping, max(mapping.deliveries)) if file]
    return [(file, process(Part(file), mapping, work / name, keys, name)) for file in found]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_line_below_the_header_is_read_or_left_out_by_where(name: str, work: Path) -> None:
    for file, counts in ingested(name, work):
        lines = Path(file.path).read_bytes().count(b"\n") - 1
        assert counts.read + counts.skipped == lines, f"{file.name} for {file.source}[{file.entry}]"
        assert counts.read == counts.typed + counts.quarantined


@pytest.mark.parametrize("name", FOLDERS)
def test_rows_land_in_the_sources_and_only_known_reasons_refuse_them(name: str, work: Path) -> None:
    typed: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    for file, counts in ingested(name, work):
        typed[file.source] += counts.typed
        reasons += counts.reasons
        notes += counts.notes
    assert typed == TYPED[name]
    assert reasons == REFUSED.get(name, {})
    assert set(notes) == NOTED[name]


@pytest.mark.parametrize("name", FOLDERS)
def test_staged_rows_are_as_many_as_counted_and_every_token_is_in_the_vault(name: str, work: Path) -> None:
    counted = ingested(name, work)
    rows = sum(pq.read_metadata(path).num_rows for path in (work / name).glob("*/rows/*.parquet"))
    assert rows == sum(counts.typed for _, counts in counted)
    vault = {t for p in (work / name / "vault").glob("*.parquet") for t in pq.read_table(p)["token"].to_pylist()}
    tokens: set[str] = set()
    for path in (work / name / "relations" / "rows").glob("*.parquet"):
        table = pq.read_table(path, columns=["from_id", "to_id"])
        tokens |= {t for column in table.columns for t in column.to_pylist() if t}
    assert {t for t in tokens if t[:4] in ("tel_", "dev_", "net_", "acc_", "com_", "crd_")} <= vault


def test_ids_of_accounts_stay_apart_as_tokens(work: Path) -> None:
    ingested("finbench", work)
    source = DATA / "finbench" / "snapshot" / "Account.csv"
    accounts = {line.split("|")[0] for line in source.read_text().splitlines()[1:]}
    owned: set[str] = set()
    for path in (work / "finbench" / "relations" / "rows").glob("*.parquet"):
        rows = pq.read_table(path, filters=[("relation", "==", "OWNS_ACCOUNT")])
        owned |= set(rows["to_id"].to_pylist())
    assert len(owned) == len(accounts)


@pytest.mark.parametrize("name", FOLDERS)
def test_check_mapping_finds_no_error_and_a_file_for_every_entry(name: str) -> None:
    found = check(read_mapping(name), DATA / FOLDERS[name])
    assert [one for one in found if one.error or not one.file] == []
    assert {one.source for one in found if one.accepted} == set(TYPED[name])
