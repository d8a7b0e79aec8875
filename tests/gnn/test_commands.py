"""The commands that a model developer runs one after another, on a small store, and the mistakes they make."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner, Result

from gnn.__main__ import app
from gnn.data.store import write_store
from tests.gnn.worlds import labeled_world

DATES = ["--train-until", "2026-01-30", "--validate-until", "2026-02-09", "--known-by", "2026-02-13"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with ids; two models trained on it, one of them promoted, all by commands."""
    home = tmp_path_factory.mktemp("home")
    store, seeds = labeled_world()
    ids = {
        "Application": seeds["application_id"].to_list(),
        "Device": [f"dev_{n}" for n in range(store.nodes["Device"].count)],
    }
    tables = {label: pa.table({"id": found}) for label, found in ids.items()}
    write_store(store, home / "store", tables, {"seeds.parquet": seeds.to_arrow()})
    models = ["--model", "trees_graph", "--model", "sage_mean"]
    trained = run(home, "train", *DATES, *models, "--out", str(home / "race"), "--budget", "0.2", "--seed", "1")
    assert trained.exit_code == 0, trained.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATE_MIN_POSITIVES", "10")
        promoted = run(home, "promote", str(home / "race" / "trees_graph"), "--budget", "0.3", *registry(home))
        assert promoted.exit_code == 0, promoted.output
        assert "is promoted" in promoted.output
        tried = run(home, "promote", str(home / "race" / "sage_mean"), "--budget", "0.3", *registry(home))
        assert "sage_mean-" in tried.output
    return home


def registry(home: Path) -> list[str]:
    return ["--registry", str(home / "models")]


def run(home: Path, command: str, *arguments: str) -> Result:
    store = ["--store", str(home / "store")] if command != "ledger" else []
    return CliRunner().invoke(app, [command, *arguments, *store], env={"COLUMNS": "200"})


def test_the_champion_scores_and_each_score_has_reasons(home: Path) -> None:
    scored = run(home, "score", "--lake", str(home / "lake"), *registry(home))
    assert "600 applications scored by trees_graph-" in scored.output
    rows = pl.DataFrame(pl.from_arrow(DeltaTable(home / "lake/results/applicant_scores").to_pyarrow_table()))
    assert rows["score"].is_between(0, 1).all()
    crowded = rows.sort("score")[-1, "reasons"]
    assert any("app device" in reason["text"] for reason in crowded)


def test_an_explanation_sums_to_the_raw_score_and_names_links_by_their_ends(home: Path) -> None:
    whole = run(home, "explain", "L0599", *registry(home))
    assert whole.exit_code == 0, whole.output
    assert "L0599: raw score" in whole.output
    assert "together: ln(odds) of the raw score" in whole.output
    version = next(path.name for path in (home / "models").glob("sage_mean-*"))
    linked = run(home, "explain", "L0599", "--version", version, *registry(home))
    assert "These contributions miss the raw score by" in linked.output
    assert "STATES_device from Device:dev_" in linked.output
    assert "to Application:L0599" in linked.output


def test_the_ledger_tells_both_decisions_and_makes_one_again(home: Path) -> None:
    told = run(home, "ledger", *registry(home))
    assert "promoted" in told.output
    assert "The same decision." in run(home, "ledger", "--replay", "2", *registry(home)).output


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("explain", ["L9999"], "has no application L9999. Check the id"),
        ("train", [*DATES, "--label", "fraude"], "fraude"),
        ("train", [*DATES, "--model", "forest"], "There is no forest"),
        ("train", ["--train-until", "2026-02-09", "--validate-until", "2026-01-30"], "Training must end before"),
    ],
)
def test_a_mistake_ends_in_a_sentence(home: Path, command: str, arguments: list[str], says: str) -> None:
    more = registry(home) if command == "explain" else ["--out", str(home / "none")]
    told = run(home, command, *arguments, *more)
    assert told.exit_code != 0
    assert says in " ".join(told.output.split())
    assert "Traceback" not in told.output
