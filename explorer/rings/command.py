"""`python -m explorer verdicts`: what people said of rings, on its way to the next night."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graph.failures import spoken

app = typer.Typer(no_args_is_help=True, help="What people said of rings, on its way to the next night.")
console = Console(highlight=False)


@app.callback()
def verdicts() -> None:
    """What people said of rings, on its way to the next night."""


@app.command("export")
def export(
    landing: Annotated[Path, typer.Option(help="The landing folder of the lender's deliveries.", show_default=False)],
    date: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The delivery's day, which is the next night's.")
    ],
) -> None:
    """Write what the lake does not know yet of the verdicts into LANDING/DATE/labels-explorer.csv."""
    import getpass

    from algorithms.contact.settings import QueueSettings
    from explorer.rings.labels import FILE, delivery, write
    from explorer.rings.verdicts import Verdicts
    from explorer.store import ExplorerStore
    from graph.audit import AuditLog
    from graph.lake import Lake
    from graph.settings import PlatformSettings

    with spoken():
        platform = PlatformSettings()
        store = ExplorerStore(QueueSettings().url(platform.lake))
        store.make()
        found = delivery(Verdicts(store).all(), Lake(platform.lake), date.date())
        what = f"{FILE} of {date:%Y-%m-%d}: {len(found.labels)} labels, {len(found.ended)} taken back"
        log = AuditLog(f"sqlite:///{platform.keys.absolute().parent / 'audit.db'}")
        log.append(user=f"{getpass.getuser()} (shell)", action="verdicts.export", object=what, purpose="next night")
        path = write(found, landing, date.date())
    if path is None:
        console.print("The lake knows all verdicts; nothing was written.")
        return
    told = f"{len(found.labels):,} labels to come and {len(found.ended):,} to go are in {path}."
    console.print(told, markup=False, soft_wrap=True)
    if found.unknown:
        console.print(
            f"{found.unknown:,} persons of judged rings have no customer number in the lake; they are left out."
        )
