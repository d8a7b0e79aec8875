"""A collector's work over HTTP: the next lead, its number for a purpose, the outcome; and what is never shown."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.queue import Why
from algorithms.contact.store import Store
from algorithms.contact.suppression import Reason, entries
from explorer.leads.board import board
from explorer.pages.leads import _queue
from explorer.words import catalog, has
from graph.audit import AuditUnavailableError
from tests.algorithms.contact_world import HOUR, MINUTE, NOON, World
from tests.explorer.conftest import Client, desk_of, signed_in
from tests.explorer.lead_world import DEBT, asking, explorer_over, seed, write_leads

PURPOSE = "case 17: call back"


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_leads(tmp_path_factory.mktemp("leads"))


@pytest.fixture(scope="module")
def seeded_leads(lost: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "store.db"
    seed(lost, path)
    return path


@pytest.fixture
def leads_app(lost: World, seeded_leads: Path, tmp_path: Path) -> Flask:
    with sqlite3.connect(seeded_leads) as old, sqlite3.connect(tmp_path / "store.db") as new:
        old.backup(new)
    return explorer_over(lost, tmp_path)


class Collector:
    """A collector at the screen: what they do, and the text of what comes back."""

    def __init__(self, app: Flask, name: str = "collector") -> None:
        self.app, self.client = app, signed_in(app, name)
        self.answers: list[str] = []

    def page(self, query: str = "") -> str:
        """Open the page, as the shell does."""
        shown = next(name for name in desk_of(self.app).callbacks if "shell-content.children" in name)
        return self._said(self.client.fire(shown, "/leads", query, 0))

    def ask(self, kind: str, **given: str) -> str:
        """Click something."""
        return self._said(self.client.fire(asking(self.app, f"leads-ask-{kind}"), {"n": "1", **given}))

    def note(self) -> str:
        """The sentence above the screen that came last."""
        return str(json.loads(self.answers[-1])["response"]["leads-note"]["children"])

    def lead(self) -> str:
        """The id of the lead in the middle of the screen."""
        return found_one(r'"data-lead": "(lead_\w+)", "data-leads": "open"', self.answers[-1])

    def call(self) -> str:
        """The id of the open call."""
        return found_one(r'"data-call": "(call_\w+)"', self.answers[-1])

    def leads(self) -> list[str]:
        """The ids in the list beside it."""
        return re.findall(r'"data-lead": "(lead_\w+)", "data-leads": "look"', self.answers[-1])

    def _said(self, answer: Any) -> str:
        assert answer.status_code == 200, answer.text
        self.answers.append(json.dumps(json.loads(answer.text), ensure_ascii=False, sort_keys=True))
        return self.answers[-1]


def found_one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def set_clock(app: Flask, later: timedelta) -> None:
    desk_of(app).now = lambda: NOON + later


def number_of(world: World, whose: str) -> str:
    return world.plain[world.tel(whose)]


def test_from_the_next_lead_to_its_number_its_outcome_and_the_next_lead(leads_app: Flask, lost: World) -> None:
    one = Collector(leads_app)
    page = one.page()
    wei = number_of(lost, "wei's lead")
    assert wei not in page
    assert "••••" in page
    assert "7 leads may be called now" in page
    assert "12,345.67" in page  # the loan of the person whom one calls
    first = one.lead()
    shown = one.ask("open", lead=first, purpose=PURPOSE)
    assert wei in shown
    assert "魏小明" in shown
    assert "Dial before 12:15" in shown
    (line,) = [line for line in desk_of(leads_app).audit.entries() if line.object == lost.tel("wei's lead")]
    assert (line.user, line.purpose) == ("collector", PURPOSE)
    after = one.ask("tell", call=one.call(), outcome="no_answer")
    assert one.note() == "Noted: no answer. The lead comes back when it is lawful."
    assert wei not in after
    assert one.lead() != first


def test_without_a_purpose_no_number_is_shown_and_no_call_is_opened(leads_app: Flask, lost: World) -> None:
    one = Collector(leads_app)
    one.page()
    shown = one.ask("open", lead=one.lead(), purpose="   ")
    assert number_of(lost, "wei's lead") not in shown
    assert one.note() == "Say why you need the number; then it is shown."
    assert not queue(leads_app).untold()


def test_an_open_call_must_be_told_before_anything_else_is_shown_and_its_number_is_asked_for_anew(
    leads_app: Flask, lost: World
) -> None:
    one = Collector(leads_app)
    one.page()
    first = one.lead()
    one.ask("open", lead=first, purpose=PURPOSE)
    page = one.page()
    assert number_of(lost, "wei's lead") not in page
    assert "You opened this call at 12:00. Say how it ended first." in page
    assert one.leads() == []
    assert number_of(lost, "wei's lead") in one.ask("open", lead=first, purpose=PURPOSE)
    set_clock(leads_app, 16 * MINUTE)
    page = one.page()
    assert '"data-leads": "open"' not in page  # the time to dial has passed
    one.ask("open", lead=first, purpose=PURPOSE)
    assert "The time to dial has passed." in one.note()
    one.ask("tell", call=one.call(), outcome="right_person")
    assert one.note() == (
        "Noted: reached. Nobody calls about this person through the queue any more. 1 other lead is closed."
    )
    one.ask("tell", call=re.findall(r"call_\w+", "".join(one.answers))[0], outcome="no_answer")
    assert one.note() == "That call ended otherwise already. It stays so."


def test_of_two_collectors_who_open_one_lead_at_once_exactly_one_gets_the_number(leads_app: Flask, lost: World) -> None:
    both = [Collector(leads_app, name) for name in ("collector", "wang")]
    for one in both:
        one.page()
    lead = both[0].lead()
    assert both[1].lead() == lead
    start = threading.Barrier(2)

    def open_it(one: Collector) -> None:
        start.wait()
        one.ask("open", lead=lead, purpose=PURPOSE)

    threads = [threading.Thread(target=open_it, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wei = number_of(lost, "wei's lead")
    (winner,) = [one for one in both if wei in one.answers[-1]]
    (loser,) = [one for one in both if one is not winner]
    assert loser.note() in (
        "Another call about this person, or to this number, is open. Take the next lead.",
        "This lead is another collector's. Here is the next one.",
    )
    assert len(queue(leads_app).untold()) == 1
    assert lead not in loser.leads()


def test_whatever_a_collector_asks_about_third_persons_no_answer_holds_a_debt_a_ring_or_a_score(
    leads_app: Flask, lost: World
) -> None:
    one = Collector(leads_app)
    one.page()
    third = {lead for lead in one.leads() if lead in third_persons(leads_app)}
    assert len(third) == 4
    before = len(one.answers)
    for lead in sorted(third):
        for language in ("en", "zh"):
            desk_of(leads_app).accounts.choose("collector", language=language)
            for kind, given in (
                ("look", {}), ("open", {"purpose": ""}), ("open", {"purpose": PURPOSE}), ("again", {}),
                ("open", {"purpose": PURPOSE}),
            ):  # fmt: skip
                one.ask(kind, lead=lead, **given)
            one.ask("tell", call=one.call(), outcome="no_answer")
            one.ask("tell", call="call_none", outcome="no_answer")
        one.ask("open", lead=lead, purpose=PURPOSE)
        one.ask("tell", call=one.call(), outcome="refused")
        for kind, given in (("look", {}), ("bar", {"reason": "court"}), ("give", {"colleague": "nobody"})):
            one.ask(kind, lead=lead, **given)
    about = [middle(answer) for answer in one.answers[before:] if set(in_the_middle(answer)) <= third]
    assert len(about) > 4 * 10
    known = [row["phone"] for row in lost.leads] + [f"L-{who}" for who in ("qin", "you", "xu", "wei")]
    for text in about:
        assert not re.search(DEBT, text, re.IGNORECASE), re.search(rf".{{60}}({DEBT}).{{60}}", text, re.IGNORECASE)
        assert not [value for value in (*known, "12345", "12,345", "0.35") if value in text]


def middle(answer: str) -> str:
    """What the answer holds but the words of the page that have no lead in them."""
    return answer.replace("ld-lead", "").replace("leads-", "")


def in_the_middle(answer: str) -> list[str]:
    return re.findall(r'"data-lead": "(lead_\w+)", "data-leads": "(?:open|bar)"', answer)


def third_persons(app: Flask) -> set[str]:
    with sqlite3.connect(desk_of(app).url.removeprefix("sqlite:///")) as store:
        return {row[0] for row in store.execute("SELECT lead_id FROM items WHERE call_to = 'third_person'")}


def queue(app: Flask) -> Any:
    with app.test_request_context():
        return _queue(desk_of(app))


def test_at_night_the_screen_says_from_when_on_and_a_lead_is_refused_with_its_rule(leads_app: Flask) -> None:
    one = Collector(leads_app)
    one.page()
    lead = one.lead()
    queue(leads_app).assign(lead, "collector", "chief", NOON)
    set_clock(leads_app, 11 * HOUR)
    page = one.page()
    assert "No lead may be called now" in page
    assert "There may be one from Jul 2, 2026 08:00 on." in page
    assert "2 of yours wait" in page
    assert "It is night there" in page
    assert "from Jul 2, 2026 08:00" in page
    assert "This may not be called now: it is night there." in one.ask("look", lead=lead)
    one.ask("open", lead=lead, purpose=PURPOSE)
    assert one.note() == "This may not be called now: it is night there. It may be from Jul 2, 2026 08:00 on."
    desk_of(leads_app).accounts.choose("collector", language="zh")
    one.ask("open", lead=lead, purpose=PURPOSE)
    assert one.note() == "现在不得拨打：当地为夜间。2026年7月2日 08:00 起可拨打。"


def test_a_number_put_on_the_list_is_offered_to_nobody_and_no_free_text_reaches_it(
    leads_app: Flask, lost: World
) -> None:
    one = Collector(leads_app)
    one.page()
    lead = one.lead()
    one.ask("bar", lead=lead, reason="told me his name is Wei")
    assert one.note() == "That could not be understood; nothing was changed. Look again."
    one.ask("bar", lead=lead, reason="complaint")
    assert one.note() == "The number is on the do-not-contact list. Nobody calls it any more."
    (line,) = entries(Store(desk_of(leads_app).url))
    assert (line.phone, line.reason) == (lost.tel("wei's lead"), Reason.COMPLAINT)
    assert lead not in one.leads()
    assert one.lead() != lead
    (said,) = [line for line in desk_of(leads_app).audit.entries() if line.action == "do_not_contact_add"]
    assert (said.object, said.purpose) == (lead, "complaint")


def test_a_borrower_handed_over_leaves_the_list_and_comes_to_the_colleague(leads_app: Flask) -> None:
    one, wang = Collector(leads_app), Collector(leads_app, "wang")
    one.page()
    lead = one.lead()
    one.ask("give", lead=lead, colleague="analyst")
    assert one.note() == "There is no such collector who may sign in. Nothing was changed."
    one.ask("give", lead=lead, colleague="wang")
    assert one.note() == "The leads to this person are wang's now."
    assert lead not in one.leads()
    one.ask("open", lead=lead, purpose=PURPOSE)
    assert one.note() == "This lead is another collector's. Here is the next one."
    one.ask("give", lead=lead, colleague="wang")
    assert one.note() == "This lead is another collector's. Here is the next one."
    wang.page()
    assert wang.lead() == lead


def test_an_outcome_and_a_barred_number_stand_though_the_log_is_gone_but_no_number_is_shown(
    leads_app: Flask, lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Collector(leads_app)
    one.page()
    first, *others = one.leads()
    one.ask("open", lead=first, purpose=PURPOSE)
    call = one.call()

    def gone(**_line: str) -> None:
        raise AuditUnavailableError("The audit log cannot be written.")

    monkeypatch.setattr(desk_of(leads_app).audit, "append", gone)
    for kind, given in (
        ("tell", {"call": call, "outcome": "refused"}),
        ("bar", {"lead": others[0], "reason": "court"}),
    ):
        one.ask(kind, **given)
        assert "so nothing is shown" in one.answers[-1]
        assert "leads-body" not in json.loads(one.answers[-1])["response"]
    assert {line.phone for line in entries(Store(desk_of(leads_app).url))} == {
        lost.tel("wei's lead"), lost.tel("han's lead")
    }  # fmt: skip
    answer = one.ask("open", lead=others[1], purpose=PURPOSE)
    assert "so nothing is shown" in answer
    assert not queue(leads_app).untold()
    assert not [number for number in lost.plain.values() if number in answer]


def test_nobody_but_a_collector_gets_an_answer(leads_app: Flask) -> None:
    analyst: Client = signed_in(leads_app, "analyst")
    assert analyst.get("/leads", headers={"Accept": "text/html"}).status_code == 403
    for kind in ("look", "again", "open", "tell", "bar", "give"):
        answer = analyst.fire(asking(leads_app, f"leads-ask-{kind}"), {"n": "1", "lead": "lead_x", "purpose": "p"})
        assert answer.status_code == 403, kind


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "<script>alert(1)</script>", "\x00", "lead_" + "x" * 5000, "{0}"])
def test_whatever_is_sent_in_a_field_ends_as_a_sentence(leads_app: Flask, hostile: str) -> None:
    one = Collector(leads_app)
    for kind in ("look", "open", "tell", "bar", "give"):
        one.ask(kind, lead=hostile, call=hostile, outcome=hostile, reason=hostile, colleague=hostile, purpose=hostile)
        assert one.note()
        assert hostile not in one.note()
    assert one.lead()
    assert not queue(leads_app).untold()


def test_every_refusal_rule_outcome_and_reason_has_its_words_in_both_languages() -> None:
    wanted = [
        *(f"why_{why}" for why in Why), "why_vault", *(f"rule_{rule}" for rule in Rule),
        *(f"{part}_{outcome}" for part in ("outcome", "then", "told") for outcome in Outcome),
        *(f"reason_{reason}" for reason in Reason if reason != Reason.MISTAKE),
    ]  # fmt: skip
    for language in ("en", "zh"):
        assert not [name for name in wanted if not has(f"leads.{name}", language)]
    assert catalog("en", "leads").keys() == catalog("zh", "leads").keys()


def test_a_call_whose_lead_a_newer_night_replaced_can_still_be_told(leads_app: Flask) -> None:
    one = Collector(leads_app)
    one.page()
    one.ask("open", lead=one.lead(), purpose=PURPOSE)
    with sqlite3.connect(desk_of(leads_app).url.removeprefix("sqlite:///")) as store:
        store.execute("DELETE FROM items WHERE state = 'open'")
    found = board(queue(leads_app), "collector", NOON)
    assert found.untold is not None
    assert found.shown is None
    one.page()
    one.ask("tell", call=one.call(), outcome="no_answer")
    assert one.note() == "Noted: no answer. The lead comes back when it is lawful."
    assert one.lead()
