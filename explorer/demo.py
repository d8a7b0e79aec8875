"""What `make demo` ends with: a user of each role, the explorer running, and three things to look at in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from explorer.accounts import invented, users_alone
from explorer.background import Background
from explorer.rights import Role
from explorer.settings import ExplorerSettings
from explorer.store import ExplorerStore


def demo_users(store: ExplorerStore, path: Path) -> dict[str, str]:
    """Make a user of each role that is missing, named like it, and return the passwords by name.

    They are kept in the file (mode 0600). Where it is lost, or somebody changed a password, the users stay as they
    are: `python -m explorer users password` gives another one.
    """
    store.make()
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    with users_alone(store) as accounts:
        there = {user.name for user in accounts.all()}
        fresh = {str(role): invented() for role in Role if role not in there}
        if fresh:
            # Written first: a password that nobody knows is worse than one without a user.
            kept |= fresh
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(kept, file, indent=1)
            os.replace(part, path)
        for name, password in fresh.items():
            accounts.add(name, [name], password)
    return kept


def run_demo(store_url: str, lake: Path, models: Path, folder: Path, ring: str) -> str:
    """Start the explorer on the demo's lake and return what to say of it.

    Raises:
        explorer.background.BackgroundError: it could not be started.
    """
    settings = ExplorerSettings()
    passwords = demo_users(ExplorerStore(store_url), folder / "explorer-users.json")
    background = Background(folder, f"http://{settings.host}:{settings.port}")
    background.start({"CREDIT_GRAPH_LAKE": str(lake), "CREDIT_GRAPH_MODELS": str(models)})
    signs = "\n".join(f"     {name:16} {password}" for name, password in sorted(passwords.items()))
    return f"""
The explorer is at {background.url}. A user of each role may sign in (kept in {folder / "explorer-users.json"}):

{signs}

Three things to look at:
  1. As analyst: why the surest ring is one            {background.url}/rings/{ring}
  2. As analyst: the same ring, layer by layer         {background.url}/canvas?node=Ring:{ring}
  3. As collector: whom to call next, and why          {background.url}/leads

Stop it: .venv/bin/python -m explorer stop"""
