"""A collector in a process of their own: `python -m tests.algorithms.contact_process FOLDER URL NAME LEAD …`."""

import sys
from datetime import datetime
from pathlib import Path
from time import sleep

from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.policy import read_policy
from algorithms.contact.queue import NotNowError, Queue, QueueError
from algorithms.contact.standing import Terms
from algorithms.contact.store import Store
from graph.audit import AuditLog
from graph.tokens import Keys
from graph.vault import Vault

NOON = "2026-07-01T04:00:00+00:00"


def works(queue: Queue, leads: list[str], collector: str, now: datetime) -> int:
    """Take over and call one lead after another until the day's calls are used up; somebody answers each call.

    Return how many were connected.
    """
    made = 0
    for lead in leads * 200:  # most tries meet another's open call
        try:
            queue.assign(lead, collector, "chief", now)
            call = queue.open(lead, collector, "case 17", now)
        except NotNowError as refused:
            if refused.rule == Rule.CONNECTED_PER_DAY:
                return made
            sleep(0.005)
        except QueueError:
            sleep(0.005)
        else:
            queue.outcome(call.call_id, Outcome.THIRD_PERSON, collector, now)
            made += 1
    raise AssertionError("the day's calls were never used up")


if __name__ == "__main__":
    folder, url, name, *leads = sys.argv[1:]
    keys = Keys.read(Path(folder) / "keys.json")
    vault = Vault(Path(folder) / "lake" / "vault", keys, AuditLog(f"sqlite:///{folder}/audit.db"))
    queue = Queue(Store(url), Terms((read_policy("cn"),)), keys, vault)
    print("ready", flush=True)
    sys.stdin.readline()
    print(works(queue, leads, name, datetime.fromisoformat(NOON)))
