"""`python -m explorer`: serve the explorer, keep its users, check its audit log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from explorer.rings.command import app as verdicts
from graph.failures import spoken

if TYPE_CHECKING:
    from explorer.accounts import Accounts
    from graph.audit import AuditLog

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help=__doc__, add_completion=False)
users = typer.Typer(no_args_is_help=True, help="Who may sign in, and as what.")
audit = typer.Typer(no_args_is_help=True, help="The log of who saw what.")
app.add_typer(users, name="users")
app.add_typer(audit, name="audit")
app.add_typer(verdicts, name="verdicts")

Name = Annotated[str, typer.Argument(help="The user's name.", show_default=False)]
Roles = Annotated[
    list[str],
    typer.Option("--role", help="analyst, collector, operator, model_developer, compliance or admin; repeatable."),
]
Invent = Annotated[bool, typer.Option("--invent", help="Make a password up and print it, once.")]
console = Console(highlight=False)


@contextmanager
def _sentences() -> Iterator[None]:
    """Let expected failures, wrong settings among them, end as one sentence and exit code 1."""
    from pydantic import ValidationError

    with spoken():
        try:
            yield
        except ValidationError as error:
            first = error.errors()[0]
            named = f"{error.title} cannot use its {'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
            Console(stderr=True).print(f"[bold red]✗[/] {named}", highlight=False, soft_wrap=True)
            sys.exit(1)


def _audit_log() -> AuditLog:
    from graph.audit import AuditLog
    from graph.settings import PlatformSettings

    return AuditLog(f"sqlite:///{PlatformSettings().keys.absolute().parent / 'audit.db'}")


@contextmanager
def _accounts(did: str = "", name: str = "") -> Iterator[Accounts]:
    """Open the users; a change has its line in the audit log before it is made."""
    import getpass

    from algorithms.contact.settings import QueueSettings
    from explorer.accounts import users_alone
    from explorer.store import ExplorerStore
    from graph.settings import PlatformSettings

    with _sentences():
        store = ExplorerStore(QueueSettings().url(PlatformSettings().lake))
        store.make()
        with users_alone(store) as accounts:
            if did:
                who = f"{getpass.getuser()} (shell)"
                _audit_log().append(user=who, action=f"users.{did}", object=name, purpose="")
            yield accounts


@app.command()
def serve() -> None:
    """Serve the explorer with gunicorn until it is interrupted. `EXPLORER_…` say where and how."""
    with _sentences():
        from explorer.serving import serve as run
        from explorer.settings import ExplorerSettings

        run(ExplorerSettings())


@app.command()
def stop(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps what it runs.")] = Path(".local/demo"),
) -> None:
    """Stop the explorer that the demo left running."""
    with _sentences():
        from explorer.background import Background

        ran = Background(folder, "").stop()
        console.print("The explorer has stopped." if ran else "No explorer runs that the demo started.")


@users.command("add")
def add(name: Name, role: Roles, invent: Invent = False) -> None:
    """Make a user. The password is asked for twice, or made up and printed once."""
    with _accounts("add", name) as accounts:
        password = _password(invent)
        accounts.add(name, _roles(role), password)
        _told(f"The user {name.strip()} may sign in as {', '.join(role)}.", password if invent else None)


@users.command("list")
def listed() -> None:
    """Print all users with their roles, and who is locked."""
    with _accounts() as accounts:
        table = Table("name", "roles", "since", "", box=None, pad_edge=False, header_style="bold")
        for user in accounts.all():
            roles = ", ".join(sorted(user.role_names))
            table.add_row(user.name, roles, f"{user.made_at:%Y-%m-%d}", "" if user.active else "locked")
        console.print(table)


@users.command("lock")
def lock(name: Name) -> None:
    """Keep a user out: their sessions end at once."""
    with _accounts("lock", name) as accounts:
        accounts.set_active(name, False)
        _told(f"The user {name} is locked; no session of theirs goes on.")


@users.command("unlock")
def unlock(name: Name) -> None:
    """Let a locked user in again."""
    with _accounts("unlock", name) as accounts:
        accounts.set_active(name, True)
        _told(f"The user {name} may sign in again.")


@users.command("role")
def role(name: Name, role: Roles) -> None:
    """Give a user these roles and no others."""
    with _accounts("role", f"{name}: {', '.join(role)}") as accounts:
        accounts.set_roles(name, _roles(role))
        _told(f"The user {name} now works as {', '.join(role)}.")


@users.command("password")
def password(name: Name, invent: Invent = False) -> None:
    """Give a user another password; their sessions end."""
    with _accounts("password", name) as accounts:
        fresh = _password(invent)
        accounts.set_password(name, fresh)
        _told(f"The user {name} has another password.", fresh if invent else None)


@audit.command("verify")
def verify() -> None:
    """Walk the audit log's chain; name the first broken row and exit with 1 if there is one."""
    with _sentences():
        chain = _audit_log().verify()
        if chain.first_broken_seq is not None:
            console.print(
                f"The audit log is broken at row {chain.first_broken_seq:,}; the {chain.rows:,} before it are whole."
            )
            raise typer.Exit(1)
        console.print(f"The audit log is whole: {chain.rows:,} rows, head {chain.head}.")


def _roles(names: list[str]) -> list[str]:
    from explorer.accounts import AccountError
    from explorer.rights import Role

    if unknown := sorted(set(names) - set(Role)):
        raise AccountError(f"There is no role {', '.join(unknown)}; there are {', '.join(Role)}.")
    return names


def _password(invent: bool) -> str:
    from explorer.accounts import checked, invented

    return invented() if invent else checked(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _told(sentence: str, password: str | None = None) -> None:
    console.print(sentence, markup=False, soft_wrap=True)
    if password is not None:
        console.print(f"Password, shown this once: {password}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    app(prog_name="python -m explorer")
