"""Cases: made from a ring or a scene, noted, changed, judged, exported and printed; each only by who may."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from explorer.cases import listing
from explorer.cases.book import NOTE_LENGTH, Case, CaseMetError, Cases, Kind, Status
from explorer.cases.evidence import compared, digest, gathered
from explorer.rings.verdicts import Verdict, Verdicts
from explorer.scenes import Scene, Scenes
from explorer.store import ExplorerStore
from graph.server import LocalServer
from tests.algorithms.contact_world import HOUR, NOON
from tests.explorer.conftest import Client, desk_of, signed_in
from tests.explorer.lead_world import asking
from tests.explorer.small_world import MEMBERS_OF_RING, RING
from tests.explorer.test_rings_verdicts import ring

PAGE = {"Accept": "text/html"}
CONTENT = {"nodes": [["Person", "per_S01", 0, 0], ["Person", "per_S02", 9, 0]], "edges": [], "view": {}}


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    store = ExplorerStore(f"sqlite:///{tmp_path / 'store.db'}")
    store.make()
    return Cases(store)


@pytest.fixture
def cases_app(new_app: Callable[..., Flask], graph: LocalServer, tmp_path: Path) -> Flask:
    """An explorer with a store of the test's own, on the small world's graph."""
    return new_app(tmp_path, graph.uri, graph.password(), graph_seconds=20, answer_seconds=25)


def test_a_page_that_only_opens_writes_down_no_change(cases_app: Flask) -> None:
    worker, desk = Worker(cases_app), desk_of(cases_app)
    worker.page("/cases/new", f"?ring={RING}")
    opened = worker.client.fire(asking(cases_app, "cases-make"), None, None, None, None)
    assert opened.status_code == 204
    assert {entry.action for entry in desk.audit.entries()} & {"cases.see", "cases.change"} == {"cases.see"}


class Worker:
    """Somebody at the screen of cases: what they do, and the answers."""

    def __init__(self, app: Flask, role: str = "analyst") -> None:
        self.app, self.client, self.seen = app, signed_in(app, role), {}

    def page(self, path: str, query: str = "") -> Any:
        shown = next(name for name in desk_of(self.app).callbacks if "shell-content.children" in name)
        answer = self.client.fire(shown, path, query, 0)
        if found := re.search(r'\{"case": "[^}]*\}', _sorted(answer.text)):
            self.seen = json.loads(found[0])
        return answer

    def text(self, path: str, query: str = "") -> str:
        return _sorted(self.page(path, query).text)

    def press(self, button: str, *states: Any, at: int = 0, changed: str = "") -> Any:
        """Press a button: `at` is its place among the inputs of its callback."""
        callback = asking(self.app, button if not at else "cases-judge-confirmed")
        inputs = [None] * at + [1] + [None] * (3 - at) if at or button.startswith("cases-judge") else [1]
        return self.client.fire(callback, *inputs, *states, changed=changed or f"{button}.n_clicks")

    def make(self, title: str, note: str = "", **source: str) -> str:
        answer = self.press("cases-make", title, note, {"ring": "", "scene": "", **source})
        assert answer.status_code == 200, answer.text
        return str(json.loads(answer.text)["response"]["shell-url"]["href"]).removeprefix("/cases/")

    def save(self, **fields: str) -> str:
        """Save the fields of the page; what the page then knows is kept for the next time."""
        values = {"title": "", "status": "open", "assignee": "", "scene": "", **fields}
        answer = self.press("cases-save", self.seen, *values.values())
        assert answer.status_code == 200, answer.text
        response = json.loads(answer.text)["response"]
        self.seen = response["cases-seen"]["data"]
        return str(response["cases-told"]["children"])

    def judge(self, verdict: str, persons: tuple[str, ...] = ()) -> str:
        at = [*Verdict, "withdraw"].index(verdict)
        button = "cases-withdraw" if verdict == "withdraw" else f"cases-judge-{verdict}"
        answer = self.press(button, self.seen, list(persons), at=at)
        assert answer.status_code == 200, answer.text
        response = json.loads(answer.text)["response"]
        self.seen = response["cases-seen"]["data"]
        return str(response["cases-judged"]["children"])


def _sorted(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)
    except ValueError:
        return text


def made(cases: Cases, **more: Any) -> Case:
    return cases.make("Handset 1", "li", NOON, {}, digest({}), **more)


# --- what is kept -------------------------------------------------------------------------------------------------


def test_notes_are_only_ever_added_with_who_and_when(cases: Cases) -> None:
    case = made(cases, note="first")
    cases.note(case.case_id, "second", "wang", NOON + HOUR)
    told = [(entry.kind, entry.by, entry.at, entry.text) for entry in cases.history(case.case_id)]
    assert told == [
        (Kind.MADE, "li", NOON, ""), (Kind.NOTE, "li", NOON, "first"), (Kind.NOTE, "wang", NOON + HOUR, "second")
    ]  # fmt: skip
    assert cases.all()[0].notes == 2


def test_who_changes_a_version_that_is_no_more_changes_nothing_and_learns_what_there_is(cases: Cases) -> None:
    case = made(cases)
    after = cases.change(case.case_id, 1, "li", NOON, status=Status.IN_REVIEW)
    assert (after.version, after.status) == (2, Status.IN_REVIEW)
    with pytest.raises(CaseMetError) as met:
        cases.change(case.case_id, 1, "wang", NOON, assignee="wang")
    assert met.value.case == replace(after, notes=0)
    assert cases.read(case.case_id) == after
    assert cases.change(case.case_id, 1, "wang", NOON, status=Status.IN_REVIEW) == after  # there is nothing to change
    cases.note(case.case_id, "a note meets nobody", "wang", NOON)
    assert cases.change(case.case_id, 2, "wang", NOON, assignee="wang").owners == ("li", "wang")
    (first, second) = [entry for entry in cases.history(case.case_id) if entry.kind == Kind.CHANGE]
    assert (first.changes, second.changes) == ({"status": ("open", "in_review")}, {"assignee": (None, "wang")})


def test_evidence_says_whether_ring_and_scene_are_still_as_they_were() -> None:
    scene = Scene("s1", "first look", 1, 1, "li", "li", NOON, None, "d1", CONTENT)
    kept = gathered(ring(), scene)
    assert kept["scene"]["persons"] == ["per_S01", "per_S02"]
    whole = digest(kept)
    next_night = replace(ring(), as_of_date=ring().as_of_date, score=0.51, exposure_cny=1001.0)
    assert compared(kept, whole, next_night, scene).same  # figures move with each night
    assert compared(kept, whole, ring(members=("per_1", "per_3")), scene).ring_changed
    assert compared(kept, whole, ring(), replace(scene, version=2, digest="d2")).scene_changed
    assert compared(kept, whole, None, scene).gone
    assert not compared({**kept, "ring": {**kept["ring"], "size": 3}}, whole, ring(), scene).whole


# --- the work of an analyst ---------------------------------------------------------------------------------------


def test_a_case_on_a_ring_keeps_its_evidence_and_who_is_in_it_stands_in_the_log(cases_app: Flask) -> None:
    analyst = Worker(cases_app)
    assert "2 sentences and 4 members" in analyst.text("/cases/new", f"?ring={RING}")
    case = analyst.make("The handset of June", "look at the dealer", ring=RING)
    page = analyst.text(f"/cases/{case}")
    assert "4 persons applied from one handset within 2 days." in page
    assert "look at the dealer" in page
    assert "Unchanged since it was taken in." in page
    line = next(line for line in desk_of(cases_app).audit.entries() if line.object.startswith(f"{case} per_"))
    assert (line.user, line.action, set(line.object.split())) == ("analyst", "cases.see", {case, *MEMBERS_OF_RING})
    assert "The handset of June" in analyst.text("/cases/new", f"?ring={RING}")  # so that nobody makes a second one
    assert "There is no such case" in analyst.text("/cases/case_none")


def test_of_two_tabs_the_second_is_told_and_nothing_is_lost(cases_app: Flask) -> None:
    first, second = Worker(cases_app), Worker(cases_app)
    case = first.make("One", ring=RING)
    for tab in (first, second):
        tab.page(f"/cases/{case}")
    assert first.save(title="One", status="in_review", assignee="analyst") == "Saved."
    told = second.save(title="Two", status="closed", assignee="analyst")
    assert told == (
        "analyst changed the case at Jul 1, 2026 12:00: Status: open → in review. Yours is not saved and still stands "
        "in the fields; save again to put it over that."
    )
    kept = Cases(desk_of(cases_app).store)
    assert kept.read(case).status == Status.IN_REVIEW  # type: ignore[union-attr]
    assert second.save(title="Two", status="closed", assignee="analyst") == "Saved."
    changes = [entry.changes for entry in kept.history(case) if entry.kind == Kind.CHANGE]
    assert changes == [
        {"status": ("open", "in_review")}, {"title": ("One", "Two"), "status": ("in_review", "closed")}
    ]  # fmt: skip
    for tab in (first, second):
        answer = tab.press("cases-note-add", tab.seen, "from both tabs")
        assert "The note is kept." in answer.text
    assert [entry.text for entry in kept.history(case) if entry.kind == Kind.NOTE] == ["from both tabs"] * 2


def test_a_verdict_on_a_case_is_the_ring_s_and_who_comes_second_is_told(cases_app: Flask) -> None:
    first, second = Worker(cases_app), Worker(cases_app)
    case = first.make("One", ring=RING)
    for tab in (first, second):
        tab.page(f"/cases/{case}")
    verdicts = Verdicts(desk_of(cases_app).store)
    assert first.judge("confirmed") == "Written down. The next night counts it as a label."
    standing = verdicts.standing()[RING]
    assert (standing.verdict, standing.by, set(standing.members)) == (
        Verdict.CONFIRMED, "analyst", set(MEMBERS_OF_RING)
    )  # fmt: skip
    assert second.judge("cleared").startswith("Somebody else judged meanwhile")
    assert verdicts.standing()[RING] == standing
    assert "confirmed" in _sorted(first.client.fire(asking(cases_app, "cases-view"), "all", [], "").text)
    assert second.judge("withdraw") == "The verdict is taken back."
    assert not verdicts.standing()
    told = [entry.changes["verdict"] for entry in Cases(desk_of(cases_app).store).history(case) if entry.changes]
    assert told == [(None, "confirmed"), ("confirmed", None)]


def test_a_verdict_on_a_scene_is_about_the_persons_that_were_ticked(cases_app: Flask) -> None:
    scene = Scenes(desk_of(cases_app).store).save("analyst", "two strangers", CONTENT)
    analyst = Worker(cases_app)
    assert "It holds the scene two strangers, version 1." in analyst.text("/cases/new", f"?scene={scene.scene_id}")
    case = analyst.make("Strangers", scene=scene.scene_id)
    assert "two strangers, version 1: 2 nodes, 0 links" in analyst.text(f"/cases/{case}")
    assert analyst.judge("confirmed") == "Tick at least one person of the scene."
    assert analyst.judge("confirmed", ("per_S02", "per_elsewhere")).startswith("Written down.")
    standing = Verdicts(desk_of(cases_app).store).standing()[case]
    assert (standing.verdict, standing.members) == (Verdict.CONFIRMED, ("per_S02",))
    Scenes(desk_of(cases_app).store).save("analyst", "two strangers", {**CONTENT, "edges": [1]},
                                          scene_id=scene.scene_id, base=1)  # fmt: skip
    assert "The evidence has changed since it was taken in." in analyst.text(f"/cases/{case}")
    answer = analyst.press("cases-renew", analyst.seen)
    assert "The evidence is as of now" in answer.text
    assert "version 2" in answer.text


def test_without_the_graph_a_case_opens_and_says_what_it_cannot_tell(
    cases_app: Flask, new_app: Callable[..., Flask], tmp_path: Path
) -> None:
    case = Worker(cases_app).make("One", ring=RING)
    page = Worker(new_app(tmp_path)).text(f"/cases/{case}")
    assert "4 persons applied from one handset" in page
    assert "the graph does not answer" in page


def test_evidence_that_was_changed_outside_is_told(cases_app: Flask, tmp_path: Path) -> None:
    analyst = Worker(cases_app)
    case = analyst.make("One", ring=RING)
    with sqlite3.connect(tmp_path / "store.db") as store:
        store.execute("UPDATE explorer_cases SET evidence = replace(evidence, '4 persons', '5 persons')")
    assert "does not match its digest" in analyst.text(f"/cases/{case}")


# --- who may ------------------------------------------------------------------------------------------------------


def test_a_model_developer_sees_their_own_cases_alone_and_nothing_of_rings_or_money(cases_app: Flask) -> None:
    analyst, developer = Worker(cases_app), Worker(cases_app, "model_developer")
    other, given = analyst.make("Not theirs", ring=RING), analyst.make("Theirs", ring=RING)
    analyst.page(f"/cases/{given}")
    assert analyst.save(title="Theirs", assignee="model_developer") == "Saved."
    assert analyst.judge("confirmed").startswith("Written down.")
    listed = developer.client.fire(asking(cases_app, "cases-view"), "all", [], "").text
    assert "Theirs" in listed
    assert "Not theirs" not in listed
    assert developer.page(f"/cases/{other}").status_code == 403
    page = developer.text(f"/cases/{given}")
    assert "Theirs" in page
    for text in (listed, page):
        assert not re.search(rf"{RING}|ring_5f5f|32,?006|4 persons applied|confirmed", text)
    for button in ("cases-judge-confirmed", "cases-renew"):
        assert developer.press(button, developer.seen, []).status_code == 403
    assert developer.press("cases-note-add", {"case": other}, "mine").status_code == 403
    assert "The note is kept." in developer.press("cases-note-add", developer.seen, "mine").text
    saved = developer.press("cases-save", developer.seen, "Theirs", "open", "", "")  # to give it away needs its right
    assert saved.status_code == 403


@pytest.mark.parametrize(
    ("role", "sees", "changes", "exports"),
    [("compliance", True, False, False), ("collector", False, False, False), ("operator", False, False, False),
     ("admin", False, False, False)],
)  # fmt: skip
def test_other_roles_see_change_and_export_only_what_the_rights_say(
    cases_app: Flask, role: str, sees: bool, changes: bool, exports: bool
) -> None:
    case = Worker(cases_app).make("One", ring=RING)
    other = Worker(cases_app, role)
    assert (other.page(f"/cases/{case}").status_code == 200) == sees
    assert (other.client.get(f"/cases/{case}", headers=PAGE).status_code == 200) == sees
    seen = {"case": case, "version": 1, "verdict": None}
    for button, states in (
        ("cases-save", (seen, "T", "closed", "", "")), ("cases-note-add", (seen, "x")), ("cases-renew", (seen,)),
        ("cases-make", ("T", "", {})), ("cases-judge-confirmed", (seen, [])),
    ):  # fmt: skip
        assert (other.press(button, *states).status_code == 200) == changes, button
    assert (other.client.get(f"/cases/{case}/report").status_code == 200) == exports
    assert (other.client.post("/cases.csv", {"view": "all", "purpose": "p"}).status_code == 200) == exports


def test_an_export_says_its_rows_before_and_stops_at_its_limit(
    cases_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = Worker(cases_app)
    monkeypatch.setattr("explorer.pages.cases.EXPORT_ROWS", 2)
    assert listing.EXPORT_ROWS == 10_000
    for number, whole in enumerate((True, True, False), 1):
        analyst.make(f"=HYPERLINK({number})", ring=RING)
        asked = json.loads(analyst.client.fire(asking(cases_app, "cases-view"), "all", [], "").text)
        given = asked["response"]["cases-asked"]["data"]
        told = given["export"]["told"]
        assert given["export"]["full"] != whole
        answer = analyst.client.post("/cases.csv", {**given, "purpose": "weekly talk"})
        if whole:
            assert f"{number} row{'s' if number > 1 else ''} will be written; the limit is 2." in told
            rows = answer.get_data(as_text=True).splitlines()
            assert len(rows) == number + 1
            assert all("'=HYPERLINK(" in row and RING in row for row in rows[1:])
        else:
            assert "3 cases were asked for; a file holds 2 at most." in told
            assert answer.status_code == 422
            assert "3 cases were asked for" in answer.text
    line = next(line for line in desk_of(cases_app).audit.entries() if line.action == "cases.export")
    assert (line.object[:11], line.purpose) == ("csv 2 cases", "weekly talk")
    assert analyst.client.post("/cases.csv", {"view": "all"}).status_code == 422


def test_a_printed_report_bears_who_printed_it_and_when_and_no_markup_of_a_note(cases_app: Flask) -> None:
    analyst = Worker(cases_app)
    case = analyst.make("<b>One</b>", "<script>alert(1)</script> look", ring=RING)
    page = analyst.client.get(f"/cases/{case}/report")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert text.count("analyst · Jul 1, 2026 12:00") >= 20
    assert "Printed by analyst at Jul 1, 2026 12:00." in text
    assert "4 persons applied from one handset" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; look" in text
    line = next(line for line in desk_of(cases_app).audit.entries() if line.action == "cases.export")
    assert line.object == f"report {case}"
    assert analyst.client.get("/cases/case_none/report").status_code == 422


HOSTILE = ["' OR 1=1 --", "<script>alert(1)</script>", "\x00", "x" * 9000, "{0}", "MATCH (n) DETACH DELETE n"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_is_sent_in_a_field_ends_as_a_sentence_or_as_text(cases_app: Flask, hostile: str) -> None:
    analyst = Worker(cases_app)
    case = analyst.make("One", ring=RING)
    analyst.page(f"/cases/{case}")
    assert analyst.save(title=hostile, status=hostile, assignee=hostile, scene=hostile) == (
        "That could not be understood; nothing was changed."
    )
    for source in ({"ring": hostile, "scene": ""}, {"ring": "", "scene": hostile}):
        answer = analyst.press("cases-make", "T", "", source)
        assert answer.status_code == 200
        assert "case_" not in answer.text
    answer = analyst.press("cases-note-add", analyst.seen, hostile)
    assert ("at most; yours was not kept" if len(hostile) > NOTE_LENGTH else "The note is kept.") in answer.text
    assert analyst.client.fire(asking(cases_app, "cases-view"), hostile, [hostile], hostile).status_code == 200
    assert (
        analyst.client.post("/cases.csv", {"view": hostile, "status": hostile, "text": 7, "purpose": "p"}).status_code
        == 200
    )
    assert "There is no such case" in analyst.text("/cases/" + hostile[:60].replace("/", "_"))
    client: Client = analyst.client
    assert client.post("/cases.csv", [hostile]).status_code == 422
