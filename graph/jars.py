"""Java jars by lock: what Spark and the local Neo4j need, fetched once and compared with their checksums.

`jars.lock` lists every jar with its set, Maven coordinate (`group:artifact:version`, at times `:classifier`),
sha256 and size, separated by tabs. Sets: `server` (Neo4j), `gds` (Graph Data Science), `spark` (Delta, beyond what
Spark itself brings), `graphframes`. The repository's address is never written here: it comes from
`MAVEN_REPO_URL` or from jgo's own settings.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from urllib3.util import Retry

LOCK = Path(__file__).with_name("jars.lock")
_THREADS = 16
_CHUNK_BYTES = 1 << 18
_BACKOFF_SECONDS = 0.5  # doubled after each of five failures


class JarError(Exception):
    """A jar could not be had; the message says which one and what to do."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    jar_set: str
    coordinate: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """File name in the cache and in the repository: `artifact-version.jar` or `artifact-version-classifier.jar`."""
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"

    @property
    def repository_path(self) -> str:
        """Path below the repository's root, in the Maven layout."""
        group, artifact, version = self.coordinate.split(":")[:3]
        return "/".join([*group.split("."), artifact, version, self.file_name])

    def path(self, cache: Path) -> Path:
        """Where the jar lies below `cache`; sets share nothing, so that one can be deleted by hand."""
        return cache / "jars" / self.jar_set / self.file_name


def locked(jar_set: str, lock: Path = LOCK) -> list[Jar]:
    """Return the jars of one set in the order of the lock.

    Raises:
        JarError: the lock has no such set.
    """
    rows = [line.split("\t") for line in lock.read_text().splitlines() if line and not line.startswith("#")]
    jars = [Jar(row[0], row[1], row[2], int(row[3])) for row in rows if row[0] == jar_set]
    if not jars:
        raise JarError(f"No jar set is called {jar_set!r}; {lock.name} has {sorted({row[0] for row in rows})}.")
    return jars


def missing(jar_set: str, cache: Path, lock: Path = LOCK) -> list[Jar]:
    """Return the jars of the set that are not in the cache at their full size; no file is read."""
    return [jar for jar in locked(jar_set, lock) if not _has_size(jar.path(cache), jar.size)]


def fetch(jar_set: str, cache: Path, lock: Path = LOCK) -> list[Path]:
    """Return the paths of the set's jars below `cache`, after fetching those that are missing.

    A jar is compared with its size and sha256 before it gets its name, so a jar that is there by name and
    size is taken as it is: a second call costs one `stat` a jar.

    Raises:
        JarError: no network, a checksum differs, or the disk is too full.
    """
    wanted = missing(jar_set, cache, lock)
    if wanted:
        _check_space(wanted, cache)
        with _progress() as progress:
            bar = progress.add_task(f"Jars of {jar_set}", total=sum(jar.size for jar in wanted))
            _fetch_all(wanted, cache, lambda count: progress.advance(bar, count))
    return [jar.path(cache) for jar in locked(jar_set, lock)]


def repository_url() -> str:
    """Return the Maven repository's address, from `MAVEN_REPO_URL` or as jgo knows it."""
    if url := os.environ.get("MAVEN_REPO_URL"):
        return url.rstrip("/")
    from jgo.maven import MavenContext  # imported late: a second call has nothing to fetch

    return str(MavenContext().remote_repos["central"]).rstrip("/")


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_space(jars: list[Jar], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    needed, free = sum(jar.size for jar in jars), shutil.disk_usage(cache).free
    if free < needed:
        raise JarError(
            f"{len(jars)} jars need {needed / 1e6:,.0f} MB in {cache} and its disk has {free / 1e6:,.0f} MB free. "
            "Make room, or set CREDIT_GRAPH_CACHE to a folder on a larger disk."
        )


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


def _fetch_all(jars: list[Jar], cache: Path, advance: Callable[[int], None]) -> None:
    url = repository_url()
    passing = (429, 500, 502, 503, 504)
    retries = Retry(total=5, backoff_factor=_BACKOFF_SECONDS, status_forcelist=passing, raise_on_status=False)
    with requests.Session() as session, ThreadPoolExecutor(_THREADS) as pool:
        session.mount("https://", HTTPAdapter(pool_maxsize=_THREADS, max_retries=retries))
        session.mount("http://", HTTPAdapter(pool_maxsize=_THREADS, max_retries=retries))
        # Largest first, so that the last thread does not begin a large jar when the others are done.
        by_size = sorted(jars, key=lambda jar: -jar.size)
        futures = [pool.submit(_fetch_one, session, url, jar, jar.path(cache), advance) for jar in by_size]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(session: requests.Session, url: str, jar: Jar, path: Path, advance: Callable[[int], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with session.get(f"{url}/{jar.repository_path}", stream=True, timeout=60) as response, part.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
        found = part.stat().st_size
        if (found, digest.hexdigest()) != (jar.size, jar.sha256):
            raise JarError(
                f"{jar.coordinate} should have {jar.size:,} bytes and sha256 {jar.sha256[:12]}…; the repository sent "
                f"{found:,} bytes with {digest.hexdigest()[:12]}…. Nothing was kept. Run it again; if it repeats, "
                "the repository or a proxy alters files: set MAVEN_REPO_URL to another one."
            )
        os.replace(part, path)
    except requests.RequestException as error:
        raise JarError(
            f"{jar.coordinate} could not be fetched ({type(error).__name__}). Check the network, or set MAVEN_REPO_URL "
            f"to a Maven repository that this machine reaches, or copy {jar.file_name} to {path.parent}."
        ) from None
    except OSError as error:
        raise JarError(
            f"{jar.coordinate} could not be written to {path.parent} ({error.strerror}). Make room or give write "
            "access, or set CREDIT_GRAPH_CACHE to another folder."
        ) from None
    finally:
        part.unlink(missing_ok=True)
