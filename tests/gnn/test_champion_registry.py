"""Who is champion follows from a ledger that cannot be changed unnoticed, and every decision can be made again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gnn.champion.card import Card, CardError, Window
from gnn.champion.gate import Decision, Reason
from gnn.champion.registry import DamagedModelError, LedgerError, Registry, RegistryError

START = datetime(2026, 6, 1, tzinfo=UTC)
COUNT = 600
LABELS = (np.random.default_rng(0).random(COUNT) < 0.2).astype(int)
TERMS: dict[str, Any] = {"budget": 0.1, "seed": 1, "rounds": 100}


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def card(kind: str = "graphsage", first: int = 0, digest: str = "a1b2c3d4e5") -> Card:
    training, validation, test = (Window(since=day(first + 10 * i), until=day(first + 10 * i + 10)) for i in range(3))
    return Card(
        kind=kind, made_at=day(40), features=("age_years",), schema_digest="5" * 16, data_digest=digest,
        training=training, validation=validation, test=test, hyperparameters={"layers": 2}, metrics={"auc": 0.8},
        seeds=(1,), libraries={"numpy": "2"},
    )  # fmt: skip


def scored(path: Path, quality: float, seed: int = 0, first: int = 0) -> Path:
    noise = np.random.default_rng(seed).normal(size=COUNT)
    at = [day(first + 20) + timedelta(minutes=10 * i) for i in range(COUNT)]
    ids = [f"a{first}-{i:04}" for i in range(COUNT)]
    scores = 1 / (1 + np.exp(-noise - quality * LABELS))
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"application_id": ids, "at": at, "label": LABELS, "score": scores}).write_parquet(path)
    return path


def trained(folder: Path, quality: float, seed: int = 0, first: int = 0) -> Path:
    (folder / "model" / "layers").mkdir(parents=True)
    (folder / "plots").mkdir()
    (folder / "model" / "weights.bin").write_bytes(bytes([seed]) * 100)
    (folder / "model" / "layers" / "one.json").write_text("{}")
    (folder / "plots" / "roc.png").write_bytes(b"png")
    (folder / "notes.txt").write_text("stays with the trainer")
    scored(folder / "predictions.parquet", quality, seed, first)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Three models of one window: weak, good and best."""
    made = Registry(tmp_path / "models")
    for seed, quality in enumerate((0.0, 2.0, 5.0)):
        made.register(trained(tmp_path / f"trained{seed}", quality, seed), card())
    return made


WEAK, GOOD, BEST = (f"graphsage-a1b2c3d4-{n}" for n in (1, 2, 3))


def events(registry: Registry) -> list[tuple[str, str]]:
    return [(line["what"], line["version"]) for line in registry.ledger()]


def test_a_registered_model_is_a_folder_of_its_own_with_a_card(registry: Registry, tmp_path: Path) -> None:
    assert registry.versions() == [WEAK, GOOD, BEST]
    assert registry.champion() is None
    folder = tmp_path / "models" / GOOD
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "card.json", "model/layers/one.json", "model/weights.bin", "plots/roc.png", "predictions.parquet",
    ]  # fmt: skip
    found = registry.card(GOOD)
    assert found.version == GOOD
    assert sorted(found.files) == [
        "model/layers/one.json", "model/weights.bin", "plots/roc.png", "predictions.parquet",
    ]  # fmt: skip
    assert found.model_copy(update={"version": "", "files": {}}) == card()
    assert registry.predictions(GOOD).learned_until == day(20)
    for version in registry.versions():
        registry.verify(version)


def test_versions_are_numbered_by_kind_and_data(registry: Registry, tmp_path: Path) -> None:
    other = registry.register(trained(tmp_path / "trees", 1), card("trees", digest="ffffffff00"))
    assert other == "trees-ffffffff-1"
    assert registry.register(trained(tmp_path / "more", 1), card()) == "graphsage-a1b2c3d4-4"


def test_what_a_crash_left_is_no_model_and_its_number_is_not_given_again(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models" / ".new-graphsage-a1b2c3d4-4" / "model").mkdir(parents=True)
    (tmp_path / "models" / "graphsage-a1b2c3d4-4").mkdir()
    assert registry.versions() == [WEAK, GOOD, BEST]
    assert registry.register(trained(tmp_path / "more", 1), card()) == "graphsage-a1b2c3d4-5"
    assert not list((tmp_path / "models").glob(".new-*"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "predictions.parquet").unlink(), "are not there"),
        (lambda f: [p.unlink() for p in (f / "model").rglob("*") if p.is_file()], "At least one file"),
        (lambda f: (f / "model" / "link").symlink_to(f / "notes.txt"), "is a link"),
        (lambda f: scored(f / "predictions.parquet", 1, first=10), "600 of 600 are not"),
    ],
)
def test_a_folder_that_is_not_whole_is_not_registered(spoil: Any, words: str, tmp_path: Path) -> None:
    folder = trained(tmp_path / "trained", 1)
    spoil(folder)
    with pytest.raises(CardError, match=words):
        Registry(tmp_path / "models").register(folder, card())
    assert Registry(tmp_path / "models").versions() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "model/weights.bin").unlink(), r"weights\.bin is missing"),
        (lambda f: ((f / "plots/roc.png").unlink(), (f / "plots/roc.png").write_bytes(b"x")), r"roc\.png is changed"),
        (lambda f: (f / "model/extra").write_text("x"), "extra was not there"),
        (lambda f: (f / "card.json").write_text("{}"), r"card\.json is missing or not as"),
    ],
)
def test_a_damaged_model_is_named_by_its_file_and_never_promoted(
    spoil: Any, words: str, registry: Registry, tmp_path: Path
) -> None:
    spoil(tmp_path / "models" / GOOD)
    with pytest.raises(DamagedModelError, match=words):
        registry.verify(GOOD)
    with pytest.raises(DamagedModelError, match=words):
        registry.promote(GOOD, **TERMS)
    assert registry.champion() is None


def test_a_better_model_takes_the_place_of_a_weaker_one_and_the_way_back_is_one_call(registry: Registry) -> None:
    assert registry.promote(GOOD, **TERMS).promoted
    assert registry.champion() == GOOD
    refused = registry.promote(WEAK, **TERMS)
    assert refused.reason is Reason.NOT_BETTER
    assert registry.champion() == GOOD
    assert registry.promote(BEST, **TERMS).promoted
    assert registry.roll_back("alerts doubled overnight") == GOOD
    assert registry.champion() == GOOD
    assert events(registry)[3:] == [
        ("promoted", GOOD), ("refused", WEAK), ("promoted", BEST), ("rolled_back", GOOD),
    ]  # fmt: skip
    assert registry.ledger()[-1]["reason"] == "alerts doubled overnight"
    with pytest.raises(RegistryError, match=f"only {GOOD} was ever promoted"):
        registry.roll_back("again")
    assert registry.promote(BEST, **TERMS).promoted
    assert registry.ledger()[-1]["attempt"] == 2


def test_without_a_champion_there_is_nothing_to_roll_back(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="nothing was promoted yet"):
        registry.roll_back("why not")
    with pytest.raises(RegistryError, match="A reason"):
        registry.roll_back("  ")


def test_a_damaged_model_is_not_rolled_back_to(registry: Registry, tmp_path: Path) -> None:
    registry.promote(GOOD, **TERMS)
    registry.promote(BEST, **TERMS)
    (tmp_path / "models" / GOOD / "model" / "weights.bin").unlink()
    with pytest.raises(DamagedModelError, match=r"weights\.bin"):
        registry.roll_back("slow")
    assert registry.champion() == BEST


def test_a_model_that_is_not_registered_or_already_in_place_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=f"registered are {WEAK}, {GOOD}, {BEST}"):
        registry.promote("../models", **TERMS)
    registry.promote(GOOD, **TERMS)
    with pytest.raises(RegistryError, match="is the champion already"):
        registry.promote(GOOD, **TERMS)
    with pytest.raises(RegistryError, match="takes no part"):
        registry.promote(BEST, **TERMS, scores={WEAK: Path("x")})


def test_every_decision_can_be_made_again(registry: Registry) -> None:
    made = [registry.promote(version, **TERMS) for version in (GOOD, WEAK, BEST)]
    for number, decision in enumerate(made, 4):
        again = registry.replay(number)
        assert again.equal
        assert isinstance(again, Decision)
        assert again.record() == {**decision.record(), "differs": ()}
    for number in (0, 1, 7):
        with pytest.raises(RegistryError, match=f"Line {number} was needed as a decision"):
            registry.replay(number)


def test_a_replay_tells_where_another_code_would_have_decided_otherwise(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(GOOD, **TERMS)
    monkeypatch.setattr("gnn.champion.gate.alerts", lambda count, budget: 1)
    again = registry.replay(4)
    assert not again.equal
    assert again.differs == ("alerted: 60 then, 1 now",)


def test_a_later_challenger_meets_the_champion_on_its_own_window(registry: Registry, tmp_path: Path) -> None:
    registry.promote(GOOD, **TERMS)
    later = registry.register(trained(tmp_path / "later", 5, seed=9, first=30), card(first=30))
    apart = registry.promote(later, **TERMS)
    assert apart.reason is Reason.OTHER_APPLICATIONS
    rescored = scored(tmp_path / "rescored.parquet", 2.0, seed=10, first=30)
    assert registry.promote(later, **TERMS, scores={GOOD: rescored}).promoted
    rescored.unlink()
    assert registry.replay(7).equal
    (kept,) = (tmp_path / "models" / "scores").iterdir()
    assert kept.stem == registry.ledger()[-1]["predictions"][GOOD]
    kept.unlink()
    with pytest.raises(DamagedModelError, match="not the file that was decided on"):
        registry.replay(7)


def test_the_baseline_is_a_registered_model_that_the_first_champion_must_beat(registry: Registry) -> None:
    assert not registry.promote(GOOD, **TERMS, baseline=BEST).promoted
    first = registry.promote(BEST, **TERMS, baseline=GOOD)
    assert first.promoted
    assert [c.rival for c in first.comparisons] == [GOOD, "chance"]
    assert registry.replay(5).equal


def test_of_two_promotions_at_once_the_second_meets_the_first(registry: Registry, tmp_path: Path) -> None:
    registry.promote(GOOD, **TERMS)
    twin = registry.register(trained(tmp_path / "twin", 5.0, seed=2), card())
    others = [Registry(registry.folder) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: pair[0].promote(pair[1], **TERMS), zip(others, (BEST, twin), strict=True)))
    assert sorted(decision.promoted for decision in found) == [False, True]
    won, lost = sorted(found, key=lambda decision: not decision.promoted)
    assert registry.champion() == won.challenger
    assert lost.champion == won.challenger
    assert registry.verify_ledger().first_broken_seq is None


def test_models_registered_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    folders = [trained(tmp_path / f"t{i}", 1, seed=i) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda folder: Registry(tmp_path / "models").register(folder, card()), folders))
    assert sorted(found) == [f"graphsage-a1b2c3d4-{n}" for n in range(1, 7)]
    assert sorted(Registry(tmp_path / "models").versions()) == sorted(found)


def test_after_a_crash_between_line_and_pointer_the_ledger_is_the_truth(registry: Registry, tmp_path: Path) -> None:
    registry.promote(GOOD, **TERMS)
    pointer = tmp_path / "models" / "champion.json"
    before = pointer.read_bytes()
    registry.promote(BEST, **TERMS)
    pointer.write_bytes(before)
    assert Registry(registry.folder).champion() == BEST
    assert json.loads(pointer.read_bytes())["version"] == BEST
    pointer.write_text("{half")
    assert registry.champion() == BEST
    assert json.loads(pointer.read_bytes())["version"] == BEST


def test_half_a_line_at_the_end_was_never_promised_and_the_next_line_takes_its_place(
    registry: Registry, tmp_path: Path
) -> None:
    with (tmp_path / "models" / "ledger.jsonl").open("ab") as file:
        file.write(b'{"seq": 4, "what": "promoted", "ver')
    assert registry.champion() is None
    assert registry.promote(GOOD, **TERMS).promoted
    assert registry.champion() == GOOD
    assert len(registry.ledger()) == 4


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda lines: [lines[0].replace(b"registered", b"promoted"), *lines[1:]], 1),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [*lines[:3], b"nonsense\n", *lines[3:]], 4),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[:3], 4),
    ],
    ids=["changed", "exchanged", "inserted", "removed", "cut from the end"],
)
def test_a_ledger_that_was_tampered_with_is_noticed_and_nobody_is_promoted_by_it(
    spoil: Any, broken: int, registry: Registry, tmp_path: Path
) -> None:
    registry.promote(GOOD, **TERMS)
    path = tmp_path / "models" / "ledger.jsonl"
    assert registry.verify_ledger().rows == 4
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(keepends=True))))
    assert registry.verify_ledger().first_broken_seq == broken
    for question in (registry.champion, lambda: registry.promote(BEST, **TERMS), lambda: registry.roll_back("x")):
        with pytest.raises(LedgerError, match=f"broken at line {broken}"):
            question()


def test_a_line_holds_all_that_a_decision_rests_on(registry: Registry) -> None:
    registry.promote(GOOD, **TERMS)
    line = registry.ledger()[-1]
    assert line["roles"] == {"challenger": GOOD, "champion": None, "baseline": None}
    assert line["predictions"] == {GOOD: registry.card(GOOD).files["predictions.parquet"]}
    assert {name: line[name] for name in TERMS} == TERMS
    assert line["settings"] == {"min_positives": 50, "ap_tolerance": 0.01}
    assert line["decision"]["comparisons"][0]["recall_lower"] > 0


def test_the_same_challenger_registered_again_is_tried_again_and_not_for_the_first_time(
    registry: Registry, tmp_path: Path
) -> None:
    registry.promote(WEAK, **TERMS)
    again = registry.register(tmp_path / "trained0", card())
    registry.promote(again, **TERMS)
    assert registry.ledger()[-1]["attempt"] == 2
