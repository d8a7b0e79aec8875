"""Six lost borrowers with leads to themselves and to others, and an explorer of two collectors over them."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask
from pydantic import SecretStr

from algorithms.contact.loading import load
from algorithms.contact.night import read_night
from algorithms.contact.settings import QueueSettings
from algorithms.contact.store import Store
from explorer.accounts import users_alone
from explorer.application import create_app
from explorer.rights import Role
from explorer.settings import ExplorerSettings
from explorer.store import ExplorerStore
from graph.settings import Neo4jSettings, PlatformSettings
from tests.algorithms.contact_world import DAY, NOON, World
from tests.explorer.conftest import PASSWORD, desk_of

COLLECTORS = ("collector", "wang")
SENTENCES = {
    "wei": "This number's card has been in the borrower's handset since 2026-06-27.",
    "han": "2 people who know the borrower have since noted this number under the name that stood beside the old one.",
    "zhu": "The borrower answered on this number on 2026-06-21; nobody has tried it since.",
}
# Of a third person's screen: words of a debt, and what the records of rings and scores are called.
DEBT = (
    r"loan|debt|lend|borrow|credit|amount|principal|overdue|cny|money|repay|score|probab|ring_|L-"
    r"|贷|债|欠|逾期|借|还款|金额|团伙|评分|¥"
)


def write_leads(folder: Path) -> World:
    """Write the lake: the numbers of `wei`, `han`, `zhu` are new ones of their own, of the others somebody else's."""
    world = World(folder)
    for at, (who, name) in enumerate(
        [("wei", "魏小明"), ("han", "韩梅"), ("zhu", "朱一凡"), ("qin", "秦岚"), ("you", "尤佳"), ("xu", "许诺")]
    ):
        world.lost(who)
        world.gave_out(who)
        world.name(who, name)
        own = who in SENTENCES
        world.lead(who, f"{who}'s lead", 0.9 - at / 10, third=not own, related=who != "xu",
                   sources=("emergency_contact",) if who == "qin" else ("calls",))  # fmt: skip
        if own:
            items = [{"text": text, "nodes": [], "relationships": []} for text in (SENTENCES[who],)]
            world.leads[-1]["evidence"] = json.dumps(items)
    world.lead("wei", "wei's sister", 0.35, third=True)
    world.tried("qin", "no_answer", 9 * DAY, phone="qin's lead")
    return world.written()


def seed(world: World, path: Path) -> None:
    """Put the night's leads and the users into a store."""
    load(Store(f"sqlite:///{path}"), read_night(world.lake), NOON)
    store = ExplorerStore(f"sqlite:///{path}")
    store.make()
    with users_alone(store) as accounts:
        for name in COLLECTORS:
            accounts.add(name, [Role.COLLECTOR], PASSWORD)
        accounts.add("analyst", [Role.ANALYST], PASSWORD)


def explorer_over(world: World, folder: Path) -> Flask:
    """Return an explorer over the world's lake with the store and the audit log of a folder; it has no Neo4j."""
    keys = folder / "keys.json"
    keys.write_bytes((world.folder / "keys.json").read_bytes())
    app = create_app(
        ExplorerSettings(), PlatformSettings(keys=keys, lake=world.lake.root, models=folder / "models"),
        QueueSettings(store=SecretStr(f"sqlite:///{folder / 'store.db'}")),
        Neo4jSettings(uri="bolt://127.0.0.1:1", password=SecretStr("")),
    )  # fmt: skip
    desk_of(app).now = lambda: NOON
    return app


def asking(app: Flask, store: str) -> str:
    """Return the id of the callback that listens to a store such as `leads-ask-open`."""
    said = desk_of(app).dash._callback_list
    (found,) = [entry["output"] for entry in said if entry["inputs"] and entry["inputs"][0]["id"] == store
                and entry["output"] in desk_of(app).callbacks]  # fmt: skip
    return str(found)
