"""Databases for the work queue: a SQLite file, and a private PostgreSQL where the package is installed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from algorithms.contact.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a cluster of its own on a socket in a temporary folder; stopped by its process at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    root = os.geteuid() == 0
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    if root:
        shutil.chown(folder, "postgres", "postgres")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    made = [found[-1], "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, **quiet, **who)
    command = [found[-1].with_name("postgres"), "-D", folder / "data", "-k", folder, "-c", "listen_addresses=",
               "-c", "fsync=off", "-c", "max_connections=200"]  # fmt: skip
    server = subprocess.Popen(command, **quiet, **who)
    url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    try:
        for attempt in range(150):
            try:
                with create_engine(url, poolclass=NullPool).connect():
                    break
            except OperationalError:
                assert server.poll() is None, "PostgreSQL did not start"
                assert attempt < 149, "PostgreSQL did not answer"
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: its data are thrown away
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    url = request.getfixturevalue("postgres")
    name = f"queue_{secrets.token_hex(8)}"  # a schema of its own is a tenth of the work of a database of its own
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    return f"{url}&options=-csearch_path%3D{name}"


@pytest.fixture
def store(store_url: str) -> Store:
    """An empty store, of each kind in turn."""
    return Store(store_url)
