"""`python -m algorithms leads`: the collectors' work queue. Heavy modules load when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graph.failures import spoken

if TYPE_CHECKING:
    from algorithms.contact.payload import Lead
    from algorithms.contact.queue import Queue
    from algorithms.contact.standing import Terms
    from algorithms.contact.store import Store
    from graph.audit import AuditLog
    from graph.lake import Lake
    from graph.tokens import Keys

app = typer.Typer(
    no_args_is_help=True, help="The work queue of collectors: who may be called now, and what came of it."
)
listing = typer.Typer(no_args_is_help=True, help="Numbers that nobody may call.")
app.add_typer(listing, name="do-not-contact")
console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)

User = Annotated[str, typer.Option(help="Who you are; written down")]
LakeFolder = Annotated[Path | None, typer.Option("--lake", help="Default: CREDIT_GRAPH_LAKE or .local/lake")]
Number = Annotated[str, typer.Argument(help="tel: and the number, or its token", show_default=False)]
ReasonWord = Annotated[
    str, typer.Option("--reason", help="refused, asked, stranger, complaint, lawyer, court, deceased or mistake")
]


class CommandError(Exception):
    """A command was given something it cannot use; the text says what to give."""


@dataclass(frozen=True)
class _Desk:
    """What the settings name."""

    store: Store
    terms: Terms
    keys: Keys
    audit: AuditLog
    lake: Lake
    queue: Queue

    def local(self, at: datetime | None) -> str:
        """A moment on the clock of the debtors' zone."""
        return "" if at is None else f"{at.astimezone(ZoneInfo(self.terms.zone)):%Y-%m-%d %H:%M}"


@contextmanager
def _desk(lake: Path | None = None) -> Iterator[_Desk]:
    """Give what the settings name; expected failures end as one sentence and exit code 1."""
    with spoken():
        from pydantic import ValidationError

        from algorithms.contact.queue import Queue
        from algorithms.contact.settings import QueueSettings
        from algorithms.contact.standing import Terms
        from algorithms.contact.store import Store
        from graph.audit import AuditLog
        from graph.lake import Lake
        from graph.settings import PlatformSettings
        from graph.tokens import Keys
        from graph.vault import Vault

        try:
            settings, platform = QueueSettings(), PlatformSettings()
        except ValidationError as error:
            fields = ", ".join(str(item["loc"][0]) for item in error.errors() if item["loc"])
            raise CommandError(f"{error.title} cannot use its {fields}. Correct the environment variable.") from None
        keys = Keys.read(platform.keys)
        audit = AuditLog(f"sqlite:///{platform.keys.absolute().parent / 'audit.db'}")
        where = Lake(lake or platform.lake)
        store = Store(settings.url(where.root))
        terms = Terms(settings.in_force(), settings.zone)
        yield _Desk(store, terms, keys, audit, where, Queue(store, terms, keys, Vault(where.vault, keys, audit)))


def _now() -> datetime:
    return datetime.now(UTC)


@app.command("load")
def load_night(lake: LakeFolder = None) -> None:
    """Put the newest night's leads of the lake into the queue; the same night again changes nothing."""
    with _desk(lake) as desk:
        from algorithms.contact.loading import load
        from algorithms.contact.night import read_night

        done = load(desk.store, read_night(desk.lake), _now())
        if not done.changed:
            console.print(f"The night of {done.as_of_date} is in the queue already; nothing changed.")
            return
        console.print(
            f"The night of {done.as_of_date}: {done.leads:,} leads to call; {done.held_out:,} borrowers are held out. "
            "Next: leads next --user NAME."
        )


@app.command("next")
def next_lead(user: User) -> None:
    """Show the best lead that you may call now; its number is shown by `open`."""
    with _desk() as desk:
        offer = desk.queue.offers(user, _now())
        if not offer.leads:
            when = f"There may be one from {desk.local(offer.not_before)} on" if offer.not_before else "None is waiting"
            console.print(f"No lead may be called now. {when} ({desk.terms.zone}).")
            return
        _print(desk, offer.leads)
        _print_lead(desk, offer.leads[0])
        console.print(f'Next: leads open {offer.leads[0].lead_id} --user {escape(user)} --purpose "…"', soft_wrap=True)


@app.command("queue")
def my_queue(user: User, limit: Annotated[int, typer.Option(min=1, max=200, help="Leads shown")] = 20) -> None:
    """List the leads you may call now, best first, and the call you have open."""
    with _desk() as desk:
        if mine := desk.queue.untold(user):
            for call in mine:
                console.print(f"Open since {desk.local(call.at)}: {call.call_id} of {call.lead_id}.", soft_wrap=True)
                console.print(f"Next: leads outcome {call.call_id} OUTCOME --user {escape(user)}", soft_wrap=True)
            return
        offer = desk.queue.offers(user, _now(), limit)
        if offer.leads:
            _print(desk, offer.leads)
        count = f"{len(offer.leads):,} leads may be called now" if offer.leads else "No lead may be called now"
        more = f"; there may be one from {desk.local(offer.not_before)} on" if offer.not_before else ""
        console.print(f"{count}{more} ({desk.terms.zone}).")


@app.command("open")
def open_lead(
    lead: Annotated[str, typer.Argument(help="The lead's id", show_default=False)],
    user: User,
    purpose: Annotated[str, typer.Option(help="Why; written to the audit log")],
) -> None:
    """Reserve the call and show its number, once the audit log holds who asked and why."""
    with _desk() as desk:
        call = desk.queue.open(lead, user, purpose, _now())
        _print_lead(desk, call.lead)
        console.print(f"Number: [bold]{escape(call.phone_number)}[/]")
        if call.ask_for:
            console.print(f"Ask for: [bold]{escape(call.ask_for)}[/]")
        console.print(f"Dial before {desk.local(call.dial_until)} ({desk.terms.zone}).")
        console.print(
            f"Next: leads outcome {call.call_id} OUTCOME --user {escape(user)}, with OUTCOME one of right_person, "
            "third_person, refused, no_answer, invalid_number.", soft_wrap=True,
        )  # fmt: skip


@app.command("outcome")
def tell_outcome(
    call: Annotated[str, typer.Argument(help="The call's id, or that of its lead", show_default=False)],
    outcome: Annotated[
        str, typer.Argument(help="right_person, third_person, refused, no_answer or invalid_number", show_default=False)
    ],
    user: User,
) -> None:
    """Say how a call ended; the same again changes nothing."""
    with _desk() as desk:
        from algorithms.contact.gate import Outcome

        if outcome not in tuple(Outcome):
            raise CommandError(f"A call ends as one of {', '.join(Outcome)}. Give one of them.")
        done = desk.queue.outcome(call, Outcome(outcome), user, _now())
        if not done.changed:
            console.print(f"{done.call_id} had ended so already; nothing changed.", soft_wrap=True)
            return
        said = {
            Outcome.REFUSED: " The number is on the do-not-contact list.",
            Outcome.RIGHT_PERSON: " The person was reached: nobody calls about them through the queue any more.",
        }.get(done.outcome, "")
        closed = f" {done.closed:,} other leads are closed." if done.closed else ""
        console.print(f"{done.call_id} ended: {done.outcome}.{said}{closed}", soft_wrap=True)
        console.print(f"Next: leads next --user {escape(user)}")


@app.command("untold")
def untold() -> None:
    """List the calls, of all collectors, of which nobody has said how they ended; their debtors wait for it."""
    with _desk() as desk:
        from algorithms.contact.queue import TOLD_BY_OTHERS

        table = Table("call", "collector", "open since", "others may tell from")
        found = desk.queue.untold()
        for call in found:
            table.add_row(call.call_id, call.collector, desk.local(call.at), desk.local(call.at + TOLD_BY_OTHERS))
        if found:
            console.print(table)
        console.print(f"{len(found):,} calls are open ({desk.terms.zone}).")


@app.command("assign")
def assign_lead(
    lead: Annotated[str, typer.Argument(help="A lead of the borrower", show_default=False)],
    to: Annotated[str, typer.Option(help="The collector who shall call")],
    user: User,
) -> None:
    """Give a borrower's leads to one collector."""
    with _desk() as desk:
        desk.queue.assign(lead, to, user, _now())
        console.print(f"The leads of this borrower are {escape(to)}'s.")


@app.command("uplift")
def show_uplift() -> None:
    """Compare how many borrowers were reached again within 30 days, with the queue and without it."""
    with _desk() as desk:
        from algorithms.contact.uplift import uplift

        found = uplift(desk.store, _now())
        table = Table("borrowers", "count", "reached", "rate", "95 % interval", title="Reached again within 30 days")
        for name, arm in (("offered", found.offered), ("held out", found.held_out)):
            rate = "" if arm.rate is None else f"{arm.rate:.1%}"
            span = "" if arm.low is None else f"{arm.low:.1%} to {arm.high:.1%}"
            table.add_row(name, f"{arm.borrowers:,}", f"{arm.reached:,}", rate, span)
        console.print(table)
        console.print(found.sentence, soft_wrap=True)


@listing.command("add")
def list_add(number: Number, reason: ReasonWord, user: User) -> None:
    """Put a number on the list; it is not called about anybody any more."""
    with _desk() as desk:
        from algorithms.contact.suppression import add

        phone, why, by = _entry(desk, number, reason, user)
        news = add(desk.store, phone, why, by, _now())  # first: it stands even where no log can be written
        desk.audit.append(user=user, action="do_not_contact_add", object=phone, purpose=why)
        console.print(f"{phone} is on the list{'' if news else ' already; nothing changed'}.", soft_wrap=True)


@listing.command("remove")
def list_remove(number: Number, reason: ReasonWord, user: User) -> None:
    """Take a number off the list; its line stays. A refusal in a debtor's record goes on denying calls."""
    with _desk() as desk:
        from algorithms.contact.suppression import remove

        phone, why, by = _entry(desk, number, reason, user)
        desk.audit.append(user=user, action="do_not_contact_remove", object=phone, purpose=why)
        remove(desk.store, phone, by, _now())
        console.print(f"{phone} is off the list. Who refused is still not called.", soft_wrap=True)


@listing.command("list")
def list_all(removed: Annotated[bool, typer.Option(help="Also lines that no longer stand")] = False) -> None:
    """Show the list, newest first, by token."""
    with _desk() as desk:
        from algorithms.contact.suppression import entries

        table = Table("number", "reason", "since", "by", "until")
        found = entries(desk.store, removed=removed)
        for entry in found:
            table.add_row(entry.phone, entry.reason, desk.local(entry.added_at), entry.added_by,
                          desk.local(entry.removed_at))  # fmt: skip
        console.print(table)
        console.print(f"{len(found):,} lines ({desk.terms.zone}).")


def _entry(desk: _Desk, number: str, reason: str, user: str) -> tuple[str, Any, str]:
    """Return the number's token, the reason and the token of who says so."""
    from algorithms.contact.suppression import Reason
    from graph.lookup import resolve

    if reason not in tuple(Reason):
        raise CommandError(f"A reason is one of {', '.join(Reason)}; free text could name a person. Give one of them.")
    end = resolve(number, lambda: desk.keys)
    if end.label != "Phone":
        raise CommandError("A phone number was needed: tel: and the number, or its token that begins with tel_.")
    return end.id, Reason(reason), desk.queue.staff(user)


def _print(desk: _Desk, leads: tuple[Lead, ...]) -> None:
    from algorithms.contact.payload import DebtorLead

    table = Table("lead", "to", "number", "", "overdue CNY", "allowed until")
    for lead in leads:
        if isinstance(lead, DebtorLead):
            overdue = "" if lead.overdue_cny is None else f"{lead.overdue_cny:,.2f}"
            to, more = "the person", f"{lead.route_zh} · {lead.probability:.0%}"
        else:
            to, more, overdue = "a third person", f"{lead.route_zh} · {lead.relation_zh}", ""
        table.add_row(lead.lead_id, to, lead.number, more, overdue, desk.local(lead.allowed_until))
    console.print(table)


def _print_lead(desk: _Desk, lead: Lead) -> None:
    from algorithms.contact.payload import SCRIPTS, DebtorLead

    console.print(f"{lead.route_zh} — {lead.route_en}.")
    if isinstance(lead, DebtorLead):
        console.print(f"Loan {escape(lead.loan_id)}.")
        for sentence in lead.evidence:
            console.print(f"  · {escape(sentence)}")
    else:
        console.print(f"{lead.relation_zh} — {lead.relation_en}.")
    words = SCRIPTS[lead.script]
    console.print(f"What may be said: {words.zh}\n{words.en}")
