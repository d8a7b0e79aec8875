"""The local Neo4j: a process of its own on the loopback interface, started from jars, with one folder per store.

    <home>/password        the random password, mode 0600
    <home>/stores/<name>/  one whole data directory per full load, with a system database of its own
    <home>/current         link to the store that serves; flipped by an atomic rename
    <home>/previous        link to the store that served before, for a rollback
    <home>/conf  logs  run

The server outlives the command that starts it. Every acknowledged transaction survives `kill -9`.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from neo4j import Driver, GraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError, ServiceUnavailable
from rich.console import Console

from graph.jars import fetch, locked
from graph.java import JVM_OPTIONS, ServerError, find_java
from graph.settings import Neo4jSettings

_HOST = "127.0.0.1"
_USER = "neo4j"
_DATABASE = "neo4j"
_START_SECONDS = 120
_STOP_SECONDS = 60
_FIRST_STORE = "empty"
_STORE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SERVER_MAIN = "org.neo4j.server.CommunityEntryPoint"
_ADMIN_MAIN = "org.neo4j.cli.AdminTool"


class ServerNotRunningError(ServerError):
    """A running Neo4j was needed and none answered."""


@dataclass(frozen=True)
class ServerStatus:
    """What `python -m graph server status` prints; `pid` and `store` are None where there is none."""

    running: bool
    pid: int | None
    uri: str
    store: str | None
    home: Path
    version: str


class LocalServer:
    """One local Neo4j under `settings.home`, serving the store that `current` points at.

    With `store` it serves that store instead, under a pid file of its own: so a new store is
    finished on a free port while the old one still serves.
    """

    def __init__(self, settings: Neo4jSettings, cache: Path, store: str | None = None) -> None:
        self.settings = settings
        self.cache = cache
        self.home = settings.home.absolute()
        self._store = store
        self._run_name = store or "serving"
        self._child: subprocess.Popen[bytes] | None = None  # kept, so that Python does not complain of losing it

    @property
    def uri(self) -> str:
        """Bolt address on the loopback interface."""
        return f"bolt://{_HOST}:{self.settings.port}"

    def password(self) -> str:
        """Return the password of user `neo4j`, which the first start makes.

        Raises:
            ServerError: there is no password file.
        """
        try:
            return (self.home / "password").read_text().strip()
        except FileNotFoundError:
            raise ServerError(
                f"No password was found at {self.home / 'password'}: no local Neo4j was started there yet. "
                "Start it with `make server-start` or `python -m graph server start`."
            ) from None

    def store_path(self, name: str) -> Path:
        """Return the data directory of a store; it need not exist.

        Raises:
            ServerError: the name would leave the folder of the stores.
        """
        base = name.removesuffix(".building")
        if not _STORE_NAME.fullmatch(base):
            raise ServerError(f"A store's name has letters, digits, `_` and `-`, as in 2024-05-01; not {name!r}.")
        return self.home / "stores" / name

    def linked_store(self, link: str = "current") -> str | None:
        """Return the store that `current` or `previous` points at, or None."""
        path = self.home / link
        return Path(os.readlink(path)).name if path.is_symlink() else None

    def link_store(self, name: str, link: str = "current") -> None:
        """Point `current` or `previous` at a store, by one atomic rename."""
        part = self.home / f".{link}.{os.getpid()}"
        part.unlink(missing_ok=True)
        part.symlink_to(Path("stores") / name)
        os.replace(part, self.home / link)

    def status(self) -> ServerStatus:
        """Return what runs and where; nothing is started."""
        process = self._process()
        pid = process.pid if process else None
        store = self._store or self.linked_store()
        neo4j_jar = next(jar for jar in locked("server") if jar.coordinate.startswith("org.neo4j:neo4j:"))
        return ServerStatus(process is not None, pid, self.uri, store, self.home, neo4j_jar.coordinate.split(":")[2])

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers over Bolt.

        Raises:
            ServerError: no Java, the port is taken, or the server did not come up.
        """
        with self.exclusive(self._run_name):
            process = self._process()
            if process is None:
                process = self._launch()
            self._await_ready(process)

    def stop(self) -> None:
        """Shut the server down cleanly; one that does not run is fine."""
        with self.exclusive(self._run_name):
            process = self._process()
            if process is not None:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except psutil.TimeoutExpired:  # a store that was killed recovers at its next start
                    process.kill()
                    process.wait(_STOP_SECONDS)
            self._pid_file.unlink(missing_ok=True)
            self._args_file.unlink(missing_ok=True)

    def driver(self) -> Driver:
        """Return a driver for this server; nothing is tried yet."""
        return GraphDatabase.driver(self.uri, auth=(_USER, self.password()), notifications_min_severity="OFF")

    def prepare_store(self, name: str) -> None:
        """Make the folder of a new store and set its password, which must precede its first start."""
        self._make_home()
        self.admin(name, ["dbms", "set-initial-password", "--", self.password()])

    def admin(self, store: str, arguments: Sequence[str], heap: str = "256m", console: Path | None = None) -> None:
        """Run the admin tool on a store that nothing serves, its output going to a log.

        Arguments travel in a file of mode 0600 that is removed afterwards, so that no password
        shows in the list of processes.

        Raises:
            ServerError: the tool failed; the message holds its last lines.
        """
        self._make_home()
        conf = self._write_conf(store, f"admin-{store}")
        args = self.home / "run" / f"admin-{store}.args"
        log = console or self.home / "logs" / f"admin-{store}.log"
        self._write_args(args, [f"-Xmx{heap}", *JVM_OPTIONS], _ADMIN_MAIN, arguments)
        env = {**os.environ, "NEO4J_HOME": str(self.home), "NEO4J_CONF": str(conf)}
        try:
            with log.open("w") as out:
                done = subprocess.run(
                    [find_java(), f"@{args}"], env=env, stdout=out, stderr=subprocess.STDOUT, check=False, cwd=self.home
                )
        finally:
            args.unlink(missing_ok=True)
            shutil.rmtree(conf, ignore_errors=True)
        if done.returncode:
            said = _tail(log).replace(self.password(), "…")
            raise ServerError(f"neo4j-admin {' '.join(arguments[:2])} ended with {done.returncode}. {log} ends: {said}")

    def end_admin(self, store: str) -> None:
        """End an admin tool that outlived the command which ran it."""
        if process := _find(self.home / "run" / f"admin-{store}.args"):
            process.kill()
            process.wait(_STOP_SECONDS)

    @property
    def _pid_file(self) -> Path:
        return self.home / "run" / f"{self._run_name}.pid"

    @property
    def _args_file(self) -> Path:
        return self.home / "run" / f"{self._run_name}.args"

    @property
    def _console_log(self) -> Path:
        return self.home / "logs" / f"{self._run_name}.log"

    def _make_home(self) -> None:
        for folder in ("stores", "logs", "conf", "run"):
            (self.home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self.home / "password"
        if not password.exists():
            part = self.home / f".password.{os.getpid()}"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(24))  # a dash in front would be read as an option
            os.replace(part, password)

    @contextmanager
    def exclusive(self, what: str, refusal: str | None = None) -> Iterator[None]:
        """Hold one of the home's locks, which a killed holder lets go of; wait for it, or raise `refusal`."""
        self._make_home()
        with (self.home / "run" / f"{what}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
            except BlockingIOError:
                raise ServerError(f"{refusal} The lock is {lock.name}.") from None
            yield

    def _process(self) -> psutil.Process | None:
        """Return the server's process; a pid that now belongs to another program does not count."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            if _runs_with(process, self._args_file):
                return process
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass
        # A start that was killed between launching Neo4j and writing its pid leaves a server without a pid file.
        return _find(self._args_file) if self._args_file.exists() else None

    def _launch(self) -> psutil.Process:
        java = find_java()
        _check_port(self.settings.port)
        self._make_home()
        store = self._store or self.linked_store()
        if store is None:
            store = _FIRST_STORE
            shutil.rmtree(self.store_path(store), ignore_errors=True)  # a first start that was killed half-way
            self.prepare_store(store)
            self.link_store(store)
        conf = self._write_conf(store, self._run_name)
        options = [f"-Xms{self.settings.heap}", f"-Xmx{self.settings.heap}", *JVM_OPTIONS]
        options.append(f"-XX:ErrorFile={self.home / 'logs' / 'java-error-%p.log'}")
        self._write_args(self._args_file, options, _SERVER_MAIN, [f"--home-dir={self.home}", f"--config-dir={conf}"])
        with self._console_log.open("w") as out:
            self._child = subprocess.Popen(
                [java, f"@{self._args_file}"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.home, start_new_session=True,
            )  # fmt: skip
        self._pid_file.write_text(str(self._child.pid))
        return psutil.Process(self._child.pid)

    def _await_ready(self, process: psutil.Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with self.driver() as driver, Console(stderr=True).status("Neo4j starts"):
            while time.monotonic() < deadline:
                if not _runs_with(process, self._args_file):
                    raise ServerError(f"Neo4j ended during its start. {self._last_words()}")
                try:
                    with driver.session() as session:
                        session.run("RETURN 1").consume()  # not execute_query, which waits longer after each failure
                except AuthError:
                    raise ServerError(
                        f"Neo4j at {self.uri} refuses the password in {self.home / 'password'}: that file was changed "
                        f"after the store was made. Put the old file back, or delete {self.home} and load again."
                    ) from None
                except (DriverError, Neo4jError):
                    time.sleep(0.25)
                else:
                    return
        raise ServerError(
            f"Neo4j (process {process.pid}) did not answer at {self.uri} in {_START_SECONDS} s. {self._last_words()}"
        )

    def _last_words(self) -> str:
        return f"{self._console_log} ends with: {_tail(self._console_log)}"

    def _write_conf(self, store: str, name: str) -> Path:
        """Write `neo4j.conf` for a store and return its folder; only the loopback interface, and nothing reported."""
        folder = self.home / "conf" / name
        folder.mkdir(parents=True, exist_ok=True)
        bolt = f"{_HOST}:{self.settings.port}"
        conf = {
            "server.directories.data": self.store_path(store),
            "server.directories.logs": self.home / "logs" / name,
            "server.directories.run": self.home / "run",
            "initial.dbms.default_database": _DATABASE,
            "server.default_listen_address": _HOST,
            "server.bolt.listen_address": bolt,
            "server.bolt.advertised_address": bolt,
            "server.bolt.tls_level": "DISABLED",
            "server.http.enabled": "false",
            "server.https.enabled": "false",
            "dbms.usage_report.enabled": "false",
            "db.transaction.monitor.check.interval": "200ms",  # a limit of 3 s is 3 s, not up to 5
            "dbms.security.allow_csv_import_from_file_urls": "false",
            "db.logs.query.enabled": "OFF",
            "db.logs.query.parameter_logging_enabled": "false",
            "server.memory.pagecache.size": self.settings.page_cache,
            "db.tx_log.rotation.retention_policy": "1 files",
            "db.tx_log.preallocate": "false",
            # Without these two a stop waits 10 s for idle connections.
            "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
            "internal.server.bolt.connection_shutdown_wait_time": "0s",
        }
        (folder / "neo4j.conf").write_text("".join(f"{key}={value}\n" for key, value in conf.items()))
        return folder

    def _write_args(self, path: Path, options: Sequence[str], main: str, arguments: Sequence[str]) -> None:
        """Write a Java argument file; it may hold a password, so only its owner may read it."""
        jars = os.pathsep.join(str(jar) for jar in fetch("server", self.cache.absolute()))
        words = [*options, "-cp", jars, main, *arguments]
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for word in words)


def connect(settings: Neo4jSettings, cache: Path) -> Driver:
    """Return a driver that has reached its server: the one at `NEO4J_URI`, or else the local one.

    Raises:
        ServerNotRunningError: no server answers.
        ServerError: the server refuses the user or the password.
    """
    if settings.uri is None:
        local = LocalServer(settings, cache)
        if not local.status().running:
            raise ServerNotRunningError(
                f"A running Neo4j was needed and none runs from {local.home}. Start it with `make server-start` or "
                "`python -m graph server start`, or name another one in NEO4J_URI, NEO4J_USERNAME, NEO4J_PASSWORD."
            )
        driver, uri = local.driver(), local.uri
    else:
        password = settings.password.get_secret_value() if settings.password else None
        auth = (settings.username, password) if password is not None else None
        uri = settings.uri
        driver = GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF")
    try:
        driver.verify_connectivity()
    except AuthError:
        driver.close()
        raise ServerError(
            f"Neo4j at {uri} refuses the user or the password. Check NEO4J_USERNAME and NEO4J_PASSWORD."
        ) from None
    except (ServiceUnavailable, DriverError, Neo4jError) as error:
        driver.close()
        raise ServerNotRunningError(
            f"Neo4j at {uri} does not answer ({type(error).__name__}). Start it, or correct NEO4J_URI; without "
            "NEO4J_URI the local server is used."
        ) from None
    return driver


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _runs_with(process: psutil.Process, args: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and f"@{args}" in process.cmdline()
    except psutil.Error:
        return False


def _find(args: Path) -> psutil.Process | None:
    return next((process for process in psutil.process_iter() if _runs_with(process, args)), None)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            raise ServerError(
                f"Port {port} was needed for Neo4j and {_listener(port)} listens there. Stop that program, or take "
                f"another port: NEO4J_PORT={free_port()} (the same command with this before it)."
            ) from None


def _listener(port: int) -> str:
    try:
        found = psutil.net_connections("tcp")
        pid = next(c.pid for c in found if c.pid and c.status == psutil.CONN_LISTEN and tuple(c.laddr)[1:] == (port,))
        return f"{psutil.Process(pid).name()} (process {pid})"
    except (psutil.Error, StopIteration):
        return "another program"


def _tail(path: Path, lines: int = 5) -> str:
    kept = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()][-lines:]
    return " / ".join(kept) or "(nothing)"
