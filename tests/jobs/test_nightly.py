"""Whole nights: what Neo4j holds is what the lake says, however often a night is repeated, split or killed."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from deltalake import DeltaTable, write_deltalake
from neo4j import Driver
from pyspark.sql import SparkSession
from rich.console import Console
from stdnum import luhn
from stdnum.cn import ric

from graph.identifiers import canonical
from graph.lake import Lake, has_table, version
from graph.ledger import Ledger
from graph.schema import EDGES, NODES
from graph.server import LocalServer
from graph.tokens import Kind
from ingest import graph_tables
from ingest.mapping import Mapping
from ingest.synthetic import write_world
from jobs.choices import LoadHow
from jobs.night import Night
from jobs.nightly import come_true, run_night

FIRST, SECOND = date(2026, 6, 29), date(2026, 6, 30)
FEW = ("contacts", "labels", "loans")  # enough for deletes, late rows and corrections, and quick
JAVA_FOR_TESTS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"  # as in conftest.py
Told = dict[str, dict[str, Any]]
Digest = dict[str, tuple[int, int]]

# Values nobody else has; if one of them is found outside the vault and the quarantine, sealed there, it leaked.
_ID = "11010119850728431"
_CARD = "622202970364518273"
PLANTED: dict[str, tuple[Kind, str]] = {
    "phone": (Kind.PHONE, "17790364518"),
    "contact_phone": (Kind.PHONE, "17790364529"),
    "name": (Kind.NAME, "欧阳灿晨曦"),
    "contact_name": (Kind.NAME, "慕容璨若霓"),
    "id_number": (Kind.ID_NUMBER, _ID + ric.calc_check_digit(_ID + "0")),
    "bank_card": (Kind.BANK_CARD, _CARD + luhn.calc_check_digit(_CARD)),
    "address": (Kind.ADDRESS, "北京市海淀区灯塔胡同97号院3单元"),
    "employer": (Kind.COMPANY, "璀璨星河灯塔制造有限公司"),
    "device_id": (Kind.DEVICE_ID, "canary-handset-90364518"),
    "iccid": (Kind.ICCID, "89860090364518273645"),
    "ip": (Kind.IP, "203.0.113.97"),
    "wifi_bssid": (Kind.WIFI, "a4:5e:60:97:36:45"),
    "account": (Kind.ACCOUNT, "canary-account-90364518"),
    "collector": (Kind.STAFF, "canary-collector-90364518"),
}
RAW = {name: raw for name, (_, raw) in PLANTED.items()}


def needles() -> dict[str, list[bytes]]:
    """Each planted value as delivered and as normalized, in the encodings of Spark, Python, Java and Neo4j."""
    found = {}
    for name, (kind, raw) in PLANTED.items():
        value = canonical(kind, raw).value
        assert value, name
        found[name] = [text.encode(code) for text in (raw, value) for code in ("utf-8", "utf-16-le")]
    return found


def plant(landing: Path, sources: tuple[str, ...] = ()) -> None:
    """Add files that hold the planted values: in good rows, in refused ones and in rows with one value refused."""
    at, folder = "2026-06-28T08:00:00Z", landing / FIRST.isoformat()
    person = (
        "id_number",
        "name",
        "phone",
        "device_id",
        "iccid",
        "ip",
        "wifi_bssid",
        "address",
        "employer",
        "bank_card",
    )
    values = ",".join(RAW[name] for name in person)
    files = {
        "applications": [
            f"application_id,applicant_id,{','.join(person)},imei,applied_at",
            f"canary-1,canary,{values},,{at}",
            f"canary-2,canary,{values},,not a time",
            f"canary-3,canary,{values},no handset,{at}",
            f"canary-4,canary,{values},,{at},one column more",
            f"canary-5,canary-5,{values},,{at}",
            f"canary-5,canary-6,{values},,{at}",
        ],
        "contacts": [
            "applicant_id,contact_phone,contact_name,relation,emergency,captured_at",
            f"canary,{RAW['contact_phone']},{RAW['contact_name']},friend,true,{at}",
            f"canary,{RAW['contact_phone']},{RAW['contact_name']},no such relation,true,{at}",
        ],
        "phones": [
            "phone,holder_id_number,iccid,observed_at",
            f"{RAW['phone']},{RAW['id_number']},{RAW['iccid']},{at}",
        ],
        "calls": [
            "phone,other_phone,direction,started_at,duration_s",
            f"{RAW['phone']},{RAW['contact_phone']},out,{at},9",
        ],
        "contact_attempts": [
            "attempt_id,loan_id,applicant_id,phone,attempted_at,outcome,collector",
            f"canary,canary,canary,{RAW['phone']},{at},refused,{RAW['collector']}",
        ],
        "relations": [
            "from_kind,from_id,relation,to_kind,to_id,at",
            f"Person,canary,OWNS_ACCOUNT,Account,{RAW['account']},{at}",
            f"Phone,{RAW['phone']},NO_SUCH_RELATION,Account,{RAW['account']},{at}",
        ],
    }
    for source in sources or files:
        if source in files:
            (folder / f"{source}-canary.csv").write_text("\n".join([*files[source], ""]))


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what it holds packed."""
    data = path.read_bytes()
    yield data
    if path.suffix == ".gz":
        yield gzip.decompress(data)
    elif path.suffix in (".zst", ".zstd"):
        yield pa.decompress(data, codec="zstd", asbytes=True)
    elif path.suffix == ".parquet" and data.endswith(b"PAR1"):  # else torn by a kill: no table names it
        for column in pq.read_table(path).combine_chunks().columns:
            if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
                yield b"\0".join(column.cast(pa.binary()).drop_null().to_pylist())


def leaks(*roots: Path) -> set[tuple[str, str]]:
    wanted, found = needles(), set()
    for root in roots:
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                for data in contents(path):
                    found |= {(name, str(path)) for name, forms in wanted.items() for form in forms if form in data}
    return found


def digest(lake: Lake, *folders: str) -> Digest:
    """Rows and an order-free digest of every table below `folders`; sealed bytes differ each time and are left out."""
    found = {}
    for path in lake.tables():
        if path.relative_to(lake.root).parts[0] in folders:
            frame = pl.DataFrame(pl.from_arrow(DeltaTable(path).to_pyarrow_table())).select(pl.exclude(pl.Binary))
            rows = frame.select(pl.col(sorted(frame.columns)).cast(pl.String)).hash_rows(seed=1).to_list()
            found[str(path.relative_to(lake.root))] = (len(rows), sum(rows) % 2**128)
    return found


def versions(lake: Lake) -> dict[str, int]:
    return {str(path): version(path) for path in lake.tables() if path.name != "night_report"}


def _plain(row: dict[str, Any]) -> frozenset[tuple[str, object]]:
    def stored(value: object) -> object:
        return int(value.timestamp() // 1) if isinstance(value, datetime) else value

    return frozenset((name, stored(value)) for name, value in row.items() if value is not None and name != "weight")


def in_lake(lake: Lake) -> dict[str, Counter[frozenset[tuple[str, object]]]]:
    found = {}
    for table in (*NODES, *EDGES):
        if lake.graph(table.table).is_dir():
            rows = DeltaTable(lake.graph(table.table)).to_pyarrow_table().to_pylist()
            found[table.table] = Counter(_plain(row) for row in rows)
    return found


def in_neo4j(driver: Driver) -> dict[str, Counter[frozenset[tuple[str, object]]]]:
    asked = {node.table: f"MATCH (n:{node.label}) RETURN properties(n) AS row" for node in NODES}
    for e in EDGES:
        ends = f"(a:{e.src})-[r:{e.relationship}]->(b:{e.dst})"
        asked[e.table] = f"MATCH {ends} RETURN r {{.*, src: a.id, dst: b.id}} AS row"
    found = {}
    for table, statement in asked.items():
        rows = Counter(_plain(record["row"]) for record in driver.execute_query(statement).records)
        if rows:
            found[table] = rows
    return found


class House:
    """A landing folder, its lake and its nights, in one place of their own."""

    def __init__(self, root: Path, landing: Path, spark: SparkSession, server: LocalServer) -> None:
        self.root, self.landing, self.server = root, landing, server
        self.spark: Callable[[], SparkSession] = lambda: spark
        self.lake = Lake(root / "lake")
        self.keys = root / "keys.json"
        self.said = StringIO()
        self.lake.root.mkdir(parents=True)

    def night(self, day: date = SECOND, how: LoadHow = LoadHow.NONE) -> Told:
        # What is concluded from the graph has its own tests; here it would only make each night a minute longer.
        night = Night(day, self.landing, self.lake, self.keys, Mapping(), self.server.settings, self.server.cache, how,
                      graph_only=True)  # fmt: skip
        with structlog.testing.capture_logs() as logs:
            try:
                return run_night(lambda: self.spark(), night, self.ledger, Console(file=self.said))
            finally:
                self.said.write(str(logs))

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.lake.root / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landing folder of a small world: two deliveries of all ten sources, and the planted values."""
    root = tmp_path_factory.mktemp("world")
    write_world(None, root, applicants=600, nights=2, seed=5, book_median=8, book_p99=30, deleted_rows=0.002)
    plant(root / "landing")
    return root / "landing"


@pytest.fixture(scope="module")
def few(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same world with few sources."""
    root = tmp_path_factory.mktemp("few")
    shutil.copytree(world, root, dirs_exist_ok=True)
    for path in root.glob("*/*"):
        if not path.name.startswith(FEW):
            path.unlink()
    return root


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key file for all houses with few sources, so that their tokens can be compared."""
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def undisturbed(
    few: Path, spark: SparkSession, neo4j_server: LocalServer, key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Digest:
    """What one whole night makes of the few sources."""
    house = House(tmp_path_factory.mktemp("undisturbed"), few, spark, neo4j_server)
    house.keys = key_file
    house.night()
    return digest(house.lake, "raw", "graph", "quarantine", "vault")


@pytest.fixture(scope="module")
def whole(
    world: Path, spark: SparkSession, neo4j_server: LocalServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[House, Told]:
    """One night over all ten sources, loaded in full."""
    house = House(tmp_path_factory.mktemp("whole"), world, spark, neo4j_server)
    return house, house.night(how=LoadHow.FULL)


def test_a_full_load_holds_what_the_lake_holds(whole: tuple[House, Told]) -> None:
    house, told = whole
    assert told["load"]["how"] == "full"
    assert told["load"]["neo4j_equals_lake"]
    assert told["ingest"]["rows_in"] == sum(
        told["ingest"][name] for name in ("rows_out", "rows_duplicate", "rows_quarantined")
    )
    with house.server.driver() as driver:
        held = in_neo4j(driver)
    lake = {table: rows for table, rows in in_lake(house.lake).items() if rows}
    assert {table: rows.total() for table, rows in held.items()} == {
        table: rows.total() for table, rows in lake.items()
    }
    assert held == lake
    assert len(held) > 25


def test_nothing_that_a_night_writes_holds_a_planted_value(world: Path, whole: tuple[House, Told]) -> None:
    house, _ = whole
    assert {name for name, _ in leaks(world)} == set(PLANTED)  # the search finds them where they are
    said = house.root / "said.txt"
    said.write_text(house.said.getvalue())
    scratch = Path(house.spark().conf.get("spark.local.dir") or "")
    assert scratch.is_dir()
    assert leaks(house.lake.root, house.server.home, scratch, said) == set()
    with house.server.driver() as driver:
        held = str(in_neo4j(driver))  # its store packs short strings, so that bytes alone do not tell
    assert not [name for name, raw in RAW.items() if raw in held]
    assert "canary" in held  # the lender's own number of the person is there, with edges
    assert stat.S_IMODE(house.keys.stat().st_mode) == 0o600


def test_the_same_night_again_changes_nothing_and_needs_no_spark(whole: tuple[House, Told]) -> None:
    house, first = whole
    folders = ("raw", "graph", "quarantine", "vault")
    before, content = versions(house.lake), digest(house.lake, *folders)

    def no_spark() -> SparkSession:
        raise AssertionError("nothing is new, so nothing should start Spark")

    house.spark, kept = no_spark, house.spark
    told = house.night(how=LoadHow.AUTO)
    house.spark = kept
    assert told["load"]["how"] == "unchanged"
    assert told["load"]["rows_out"] == first["load"]["rows_out"]
    assert versions(house.lake) == before
    assert digest(house.lake, *folders) == content


@pytest.mark.drill
def test_two_nights_with_an_incremental_load_equal_one_whole_night(
    few: Path, spark: SparkSession, neo4j_server: LocalServer, key_file: Path, undisturbed: Digest, tmp_path: Path
) -> None:
    house = House(tmp_path, few, spark, neo4j_server)
    house.keys = key_file
    house.night(FIRST, LoadHow.FULL)
    with neo4j_server.driver() as driver:
        early = in_neo4j(driver)
    told = house.night(SECOND, LoadHow.INCREMENTAL)
    assert told["load"]["how"] == "incremental"
    assert told["load"]["changes"]["relationships_created"] > 0
    assert digest(house.lake, "raw", "graph", "quarantine", "vault") == undisturbed
    with neo4j_server.driver() as driver:
        held = in_neo4j(driver)
    assert held == {table: rows for table, rows in in_lake(house.lake).items() if rows}
    assert held != early
    assert house.night(SECOND, LoadHow.INCREMENTAL)["load"]["how"] == "unchanged"


@pytest.mark.drill
def test_a_night_cut_off_after_its_writes_starts_over_and_ends_the_same(
    few: Path,
    spark: SparkSession,
    neo4j_server: LocalServer,
    key_file: Path,
    undisturbed: Digest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    house = House(tmp_path, few, spark, neo4j_server)
    house.keys = key_file
    (house.lake.raw("contacts") / "_delta_log").mkdir(parents=True)  # all that a kill before the first commit leaves
    with monkeypatch.context() as patch:
        patch.setattr("ingest.run._record", cut)  # all rows are merged, and nobody wrote down which files they were
        with pytest.raises(KeyboardInterrupt):
            house.night()
    assert has_table(house.lake.raw("contacts"))
    with monkeypatch.context() as patch:
        patch.setattr(graph_tables.as_of, "fold_nodes", cut)  # edges are there, nodes are not
        with pytest.raises(KeyboardInterrupt):
            house.night()
    assert [record.state for record in house.ledger.records(2)] == ["failed", "done"]
    assert not house.lake.graph("person").exists()
    told = house.night()
    assert told["ingest"]["files"] == 0  # that stage had ended well
    assert digest(house.lake, "raw", "graph", "quarantine", "vault") == undisturbed


@pytest.mark.drill
def test_a_night_killed_while_it_writes_is_resumed_and_ends_the_same(
    few: Path, spark: SparkSession, neo4j_server: LocalServer, key_file: Path, undisturbed: Digest, tmp_path: Path
) -> None:
    house = House(tmp_path, few, spark, neo4j_server)
    house.keys = key_file
    log, scratch = tmp_path / "killed.log", tmp_path / "spark"
    command = ["-m", "jobs", "nightly", "run", "--date", str(SECOND), "--landing", str(few), "--lake"]
    environment = os.environ | {
        "CREDIT_GRAPH_KEYS": str(key_file), "SPARK_LOCAL_DIR": str(scratch), "SPARK_DRIVER_MEMORY": "1g",
        "SPARK_SUBMIT_OPTS": JAVA_FOR_TESTS,
    }  # fmt: skip
    with log.open("wb") as out:
        night = subprocess.Popen(
            [sys.executable, *command, str(house.lake.root), "--load", "none"],
            env=environment, stdout=out, stderr=out, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(house.lake.root.glob("raw/*/_delta_log/*.json")):
        assert night.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    left = psutil.Process(night.pid).children(recursive=True)
    os.kill(night.pid, signal.SIGKILL)
    night.wait()
    assert [record.state for record in house.ledger.records(1)] == ["running"]
    house.night()
    assert digest(house.lake, "raw", "graph", "quarantine", "vault") == undisturbed
    assert leaks(log, scratch, house.lake.root) == set()
    _, alive = psutil.wait_procs(left, timeout=60)
    for process in alive:
        process.kill()
    assert not alive  # Java goes with the process that started it


def test_events_delivered_ahead_of_their_time_are_folded_in_by_the_night_that_reaches_them(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for source, event_at in (("labels", "confirmed_at"), ("calls", "started_at")):
        at = datetime(2026, 6, 30, 9 if source == "labels" else 7, tzinfo=UTC)
        write_deltalake(lake.raw(source), pa.table({event_at: pa.array([at, None], pa.timestamp("us", "UTC"))}))
    assert come_true(lake, datetime(2026, 6, 30, 8, tzinfo=UTC)) == {"labels"}
    assert come_true(lake, datetime(2026, 6, 30, 9, tzinfo=UTC)) == set()
