"""The model developer's page: champion, card, pictures, ledger, watch, leak check, catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from flask import Flask

from explorer.desk import Desk
from explorer.model.models import PLOTS, read_models
from gnn.champion.registry import Registry
from graph.lake import Lake
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in
from tests.explorer.model_world import CHAMPION, NIGHT, REFUSED, UNTRIED, WATCHED, watched, write_registry
from tests.explorer.test_frame import serious


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    write_registry(folder)
    return folder / "models"


@pytest.fixture
def registry(written: Path, tmp_path: Path) -> Registry:
    """A copy of the test's own, as real as the one of `python -m gnn promote`."""
    return Registry(copytree(written, tmp_path / "registry"))


@pytest.fixture
def desk(lone_app: Flask, registry: Registry, tmp_path: Path) -> Desk:
    found = desk_of(lone_app)
    found.models, found.lake = registry.folder, Lake(tmp_path / "lake")
    watched(found.lake)
    return found


@pytest.fixture
def developer(lone_app: Flask, desk: Desk) -> Client:
    return signed_in(lone_app, "model_developer")


def body(client: Client, search: str = "") -> str:
    answer = client.fire(callback_of(client.app, "shell-content.children"), "/model", search, 0)
    assert answer.status_code == 200
    return json.dumps(answer.json["response"]["shell-content"]["children"], ensure_ascii=False)


def test_the_champion_comes_with_its_card_its_pictures_and_why_it_was_promoted(
    developer: Client, registry: Registry
) -> None:
    told = body(developer)
    sentence = registry.ledger()[1]["decision"]["sentence"]
    card = registry.card(CHAMPION)
    for text in (f"champion: {CHAMPION}", f"Card of {CHAMPION}", f"{card.metrics['auc']:.3f}", sentence,
                 f"all {len(card.files)} files as they were registered", "Mar 1, 2026 – Mar 31, 2026"):  # fmt: skip
        assert text in told, text
    for name in PLOTS:
        assert f"/model/plot/{CHAMPION}/{name}.png" in told
        answer = developer.get(f"/model/plot/{CHAMPION}/{name}.png")
        assert answer.data == (registry.folder / CHAMPION / "plots" / f"{name}.png").read_bytes()


def test_the_page_says_of_champion_and_chain_what_the_registry_says(registry: Registry) -> None:
    found = read_models(registry.folder)
    assert found.champion == registry.champion() == CHAMPION
    assert found.chain == registry.verify_ledger()
    assert found.versions == tuple(reversed(registry.versions()))
    registry.promote(UNTRIED, budget=0.1, seed=1, rounds=100)
    registry.roll_back("a drill") if registry.champion() == UNTRIED else None
    assert read_models(registry.folder).champion == registry.champion()


def test_every_registered_model_can_be_looked_at_and_nothing_else(developer: Client) -> None:
    assert f"Card of {REFUSED}" in body(developer, f"?version={REFUSED}")
    told = body(developer)
    assert f"/model?version={UNTRIED}" in told
    assert "not tried yet" in told
    for wrong in ("nothing-1", "../models", "", "%2e%2e"):
        assert f"Card of {CHAMPION}" in body(developer, f"?version={wrong}")


@pytest.mark.parametrize(
    "path",
    [f"{CHAMPION}/other.png", "nothing-1/roc.png", f"..%2f{CHAMPION}/roc.png", f"{CHAMPION}/..%2fcard.json",
     f"{CHAMPION}/%2e%2e%2fcard.png", "../ledger.jsonl"],
)  # fmt: skip
def test_no_path_from_the_client_leads_to_a_file(developer: Client, path: str) -> None:
    assert developer.get(f"/model/plot/{path}").status_code == 404


def test_a_picture_that_was_changed_is_not_shown_and_the_card_says_so(developer: Client, registry: Registry) -> None:
    path = registry.folder / CHAMPION / "plots" / "roc.png"
    path.chmod(0o644)
    path.write_bytes(b"another")
    assert developer.get(f"/model/plot/{CHAMPION}/roc.png").status_code == 404
    assert "plots/roc.png is missing, new or not as it was registered" in body(developer)


def test_a_card_that_was_changed_is_not_shown(developer: Client, registry: Registry) -> None:
    path = registry.folder / CHAMPION / "card.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"auc": 0.', '"auc": 1.'))
    told = body(developer)
    assert "card.json is missing, new or not as it was registered" in told
    assert "Average precision" not in told


def test_a_ledger_that_was_tampered_with_names_its_line_and_nobody_is_champion(
    developer: Client, registry: Registry
) -> None:
    path = registry.folder / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1].replace("promoted", "refused_", 1) + "".join(lines[2:]))
    told = body(developer)
    assert "chain broken at line 2" in told
    assert "nobody can say who is champion" in told
    assert f"champion: {CHAMPION}" not in told


def test_the_watch_tells_the_last_night_with_its_figures_and_sentences(developer: Client) -> None:
    told = body(developer)
    for text in (WATCHED, "0.18", "0.12", "0.03", "look", "as before"):
        assert text in told, text


def test_the_leak_check_is_green_on_an_honest_lake(developer: Client) -> None:
    told = body(developer)
    assert "No table holds anything dated after the newest night, Jun 30, 2026." in told
    assert "later than all it has seen" in told
    assert "It shows no score of an application from before" in told
    assert "pt-red" not in told


def test_a_table_from_the_future_and_a_score_of_what_was_learned_are_told(developer: Client, desk: Desk) -> None:
    later = pa.table({"as_of_date": pa.array([date(2026, 7, 2)], pa.date32()), "ring_id": ["r"]})
    write_deltalake(desk.lake.results("rings"), later, mode="append")
    scores = pa.table({
        "application_id": ["b0"], "as_of_at": pa.array([datetime(2026, 3, 5, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "score": [0.9], "model_version": [CHAMPION],
    })  # fmt: skip
    write_deltalake(desk.lake.results("applicant_scores"), scores, mode="append")
    told = body(developer)
    assert "Dated after the newest night, Jun 30, 2026: rings." in told
    assert "1 score shown is of an application from before" in told


def test_the_catalog_names_each_table_with_its_day_and_rows(developer: Client, desk: Desk) -> None:
    from explorer.model.catalog import catalog

    found = {entry.name: entry for entry in catalog(desk.lake)}
    assert (found["rings"].newest, found["rings"].rows, found["rings"].as_of) == (NIGHT, 1, "as_of_date")
    assert found["night_report"].newest == NIGHT
    assert found["applicant_scores"].written_at is not None
    told = body(developer)
    assert "results/applicant_scores" in told
    assert "the champion's scores with reasons" in told


def test_without_a_model_and_without_a_lake_the_page_says_what_to_run(
    lone_app: Flask, developer: Client, tmp_path: Path
) -> None:
    desk = desk_of(lone_app)
    desk.models, desk.lake = tmp_path / "none", Lake(tmp_path / "nothing")
    told = body(developer)
    steps = ("No model has been registered yet.", "make models", "python -m gnn data --date 2026-")
    for text in (*steps, "No night has watched a champion yet", "The lake holds no table of features or results yet."):
        assert text in told, text
    assert not (tmp_path / "none").exists()


def test_a_collector_sees_neither_page_nor_picture(lone_app: Flask, desk: Desk) -> None:
    collector = signed_in(lone_app, "collector")
    assert collector.get("/model", headers={"Accept": "text/html"}).status_code == 403
    assert collector.get(f"/model/plot/{CHAMPION}/roc.png").status_code == 403


def test_a_developer_sees_the_pictures_in_a_browser(lone_page: Callable[..., Any], desk: Desk) -> None:
    page = lone_page("model_developer", "/model")
    page.wait_for_selector("#model-plots img")
    page.wait_for_function("[...document.querySelectorAll('#model-plots img')].every(i => i.naturalWidth > 100)")
    page.click(f"#model-models a:has-text('{REFUSED}')")
    page.wait_for_selector(f"text=Card of {REFUSED}")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_the_page_keeps_nobody_out(lone_page: Callable[..., Any], desk: Desk, language: str, scheme: str) -> None:
    page = lone_page("model_developer", "/model", language=language, scheme=scheme)
    page.wait_for_selector("#model-plots img")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
