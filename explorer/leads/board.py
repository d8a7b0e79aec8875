"""What a collector sees at one moment: the call they have open, or the next lead, and what comes after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from algorithms.contact.payload import Call, PastCall
from algorithms.contact.queue import DIAL_WITHIN, Queue, QueueError, Seen, Untold

AHEAD = 30  # leads listed after the one shown
WAITING = 20


@dataclass(frozen=True)
class Board:
    """One moment of a collector's work.

    Attributes:
        shown: the lead in the middle of the screen; with an open call, that of the call, if it is still in the queue.
        call: the open call with its number, in the answer to `open` alone; afterwards it is asked for anew.
        untold: the collector's open call, of which nobody has said how it ended; nothing is offered until then.
        again: until when the number of the open call may be asked for anew (UTC); None: not any more.
        ahead: leads that may be called now, best first, the one shown among them.
        waiting: leads of the collector's own borrowers that a rule keeps for later.
        not_before: with nothing to call, when there may be something (UTC), if that is known.
        history: earlier calls about the lead that is shown, newest first.
    """

    shown: Seen | None = None
    call: Call | None = None
    untold: Untold | None = None
    again: datetime | None = None
    ahead: tuple[Seen, ...] = ()
    waiting: tuple[Seen, ...] = ()
    not_before: datetime | None = None
    history: tuple[PastCall, ...] = ()

    @property
    def lead_ids(self) -> tuple[str, ...]:
        """The leads that this tells something of, for the audit log."""
        seen = [*([self.shown] if self.shown else []), *self.ahead, *self.waiting]
        return tuple(dict.fromkeys(one.lead.lead_id for one in seen))


def board(queue: Queue, user: str, now: datetime, chosen: str | None = None, call: Call | None = None) -> Board:
    """Return what `user` sees at `now`: their open call, else the lead they chose, else the next one.

    Raises:
        algorithms.contact.queue.QueueError: the lead they chose is not there, or another collector's.
    """
    open_calls = queue.untold(user)
    if open_calls:
        return _with_call(queue, user, now, open_calls[0], call)
    offer = queue.offers(user, now, AHEAD)
    ahead = tuple(Seen(lead, True, None) for lead in offer.leads)
    if chosen:
        shown: Seen | None = queue.look(chosen, user, now)
    else:
        shown = ahead[0] if ahead else None
    return Board(
        shown=shown, ahead=ahead, waiting=queue.waiting(user, now, WAITING), not_before=offer.not_before,
        history=tuple(queue.history(shown.lead.lead_id)) if shown else (),
    )  # fmt: skip


def _with_call(queue: Queue, user: str, now: datetime, untold: Untold, call: Call | None) -> Board:
    try:
        shown = queue.look(untold.lead_id, user, now)
        history = tuple(queue.history(untold.lead_id))
    except QueueError:  # a newer night has replaced the lead, or it was given to somebody else; the call stays
        shown, history = None, ()
    until = untold.at + DIAL_WITHIN
    mine = call if call is not None and call.call_id == untold.call_id else None
    again = until if shown is not None and now < until else None
    return Board(shown=shown, call=mine, untold=untold, again=again, history=history)
