"""What the lights of a night say, and what of earlier nights still holds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from explorer.night.files import files, reason
from explorer.night.lights import history, lights, reported, whole
from graph.lake import Lake
from jobs.nightly import STAGES
from tests.explorer.night_world import ALARM, SENTENCE, failed, good, ledger_of, running, write_nights

DAY = date(2026, 6, 3)


def colors(lake: Lake, number: int | None = None) -> dict[str, str]:
    runs = ledger_of(lake).runs()
    run = next(run for run in runs if number in (None, run.number))
    return {light.watch: light.color for light in lights(run, reported(lake, DAY))}


def test_an_alarm_of_drift_is_red_with_the_sentence_that_the_night_wrote(tmp_path: Path) -> None:
    lake = write_nights(tmp_path / "lake")
    run = ledger_of(lake).runs()[0]
    found = lights(run, reported(lake, DAY))
    assert [(light.watch, light.color) for light in found] == [
        ("drift", "red"), ("scores", "gray"), ("leads", "green"), ("load", "green"),
    ]  # fmt: skip
    assert found[0].sentences == (SENTENCE,)
    assert found[0].figures[0]["psi"] == 4.14
    assert whole(found) == "red"


def test_a_night_that_found_nothing_new_keeps_the_light_before_it_and_says_whose_it_is(tmp_path: Path) -> None:
    lake = write_nights(tmp_path / "lake")
    run = next(run for run in ledger_of(lake).runs() if run.number == 2)
    drift = lights(run, reported(lake, DAY))[0]
    assert (drift.color, drift.night) == ("green", date(2026, 6, 1))


def test_a_status_that_needs_a_look_is_amber_and_one_without_reference_is_gray(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    good(lake, date(2026, 6, 1), drift={"status": "no_reference", "sentences": ["No reference yet."]})
    good(lake, date(2026, 6, 2), drift=ALARM | {"status": "warn"})
    assert colors(lake, 1)["drift"] == "gray"
    assert colors(lake, 2)["drift"] == "amber"


def test_a_stage_that_failed_is_red_and_what_comes_after_it_is_not_there_yet(tmp_path: Path) -> None:
    lake = write_nights(tmp_path / "lake")
    failed(lake, date(2026, 6, 4), "load", "CountsDifferError", None)
    assert colors(lake) == {"drift": "green", "scores": "gray", "leads": "green", "load": "red"}
    with running(lake, date(2026, 6, 5), "drift"):
        assert set(colors(lake).values()) == {"gray"}


def test_the_row_of_nights_has_one_light_each_and_ends_with_this_run(tmp_path: Path) -> None:
    lake = write_nights(tmp_path / "lake")
    good(lake, DAY)  # the same night again: its later run counts
    newest = ledger_of(lake).runs()[0]
    rows = reported(lake, DAY)
    assert history(newest, rows)["drift"] == [
        (date(2026, 6, 1), "green"), (date(2026, 6, 2), "green"), (DAY, "green"),
    ]  # fmt: skip
    third = next(run for run in ledger_of(lake).runs() if run.number == 3)
    assert history(third, rows)["drift"][-1] == (DAY, "red")


def test_a_lake_without_a_report_has_lights_from_its_ledger_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    failed(lake, DAY, "graph", "MemoryError", None)
    assert reported(lake, DAY) == []
    assert set(colors(lake).values()) == {"gray"}


def test_files_come_with_those_refused_first_and_reasons_in_words(tmp_path: Path) -> None:
    lake = write_nights(tmp_path / "lake")
    found = files(lake, DAY)
    assert [row["source"] for row in found] == ["contacts", "applications"]
    assert found[0]["reasons"] == "too few fields 4; contact_phone: masked value 3"
    assert files(lake, date(2026, 6, 1)) == []
    assert files(Lake(tmp_path / "none"), DAY) == []
    assert reason("brand: something_new") == "brand: something_new"


def test_the_stages_watched_are_stages_of_the_night() -> None:
    from explorer.night.lights import WATCHES
    from explorer.words import LANGUAGES, has
    from graph.ledger import LAST_STAGE

    names = [name for name, _ in STAGES]
    assert set(WATCHES) <= set(names)
    assert names[-1] == LAST_STAGE
    assert all(has(f"night.stage_{name}", language) for name in names for language in LANGUAGES)
