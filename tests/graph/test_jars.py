import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import jars
from graph.jars import LOCK, JarError, fetch, locked, missing

BODY = b"not really a jar" * 1000


class Repository(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012
    failures = 0

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if type(self).failures:
            type(self).failures -= 1
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    Repository.asked, Repository.failures = [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("MAVEN_REPO_URL", f"http://127.0.0.1:{server.server_port}/maven/")
        yield Repository
        server.shutdown()


def lock_of(tmp_path: Path, *coordinates: str, sha256: str = hashlib.sha256(BODY).hexdigest()) -> Path:
    lock = tmp_path / "jars.lock"
    lock.write_text("".join(f"mine\t{c}\t{sha256}\t{len(BODY)}\n" for c in coordinates))
    return lock


def test_missing_jars_are_fetched_once_and_then_taken_as_they_are(tmp_path, repository):
    lock = lock_of(tmp_path, "a.b:one:1.0", "a.b:two:2.0:linux-x86_64")
    paths = fetch("mine", tmp_path, lock)
    assert [path.name for path in paths] == ["one-1.0.jar", "two-2.0-linux-x86_64.jar"]
    assert all(path.read_bytes() == BODY for path in paths)
    assert sorted(repository.asked) == ["/maven/a/b/one/1.0/one-1.0.jar", "/maven/a/b/two/2.0/two-2.0-linux-x86_64.jar"]
    assert fetch("mine", tmp_path, lock) == paths
    assert len(repository.asked) == 2


def test_a_jar_cut_short_is_fetched_again(tmp_path, repository):
    lock = lock_of(tmp_path, "a.b:one:1.0")
    (path,) = fetch("mine", tmp_path, lock)
    path.write_bytes(BODY[:10])
    assert [jar.coordinate for jar in missing("mine", tmp_path, lock)] == ["a.b:one:1.0"]
    assert fetch("mine", tmp_path, lock)[0].read_bytes() == BODY


def test_a_repository_that_stumbles_is_asked_again(tmp_path, repository, monkeypatch):
    repository.failures = 2
    assert fetch("mine", tmp_path, lock_of(tmp_path, "a.b:one:1.0"))[0].exists()
    assert len(repository.asked) == 3


def test_a_wrong_checksum_names_the_jar_and_keeps_nothing(tmp_path, repository):
    lock = lock_of(tmp_path, "a.b:one:1.0", sha256="0" * 64)
    with pytest.raises(JarError, match=r"a\.b:one:1\.0 should have .* sha256 0000.*MAVEN_REPO_URL"):
        fetch("mine", tmp_path, lock)
    assert [path for path in (tmp_path / "jars").rglob("*") if path.is_file()] == []


def test_without_a_network_the_sentence_names_the_jar_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("MAVEN_REPO_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(jars, "_BACKOFF_SECONDS", 0)
    with pytest.raises(JarError, match=r"a\.b:one:1\.0 could not be fetched .*MAVEN_REPO_URL"):
        fetch("mine", tmp_path, lock_of(tmp_path, "a.b:one:1.0"))


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path, repository, monkeypatch):
    monkeypatch.setattr(jars.shutil, "disk_usage", lambda _: jars.shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(JarError, match=r"1 jars need 0 MB .*CREDIT_GRAPH_CACHE"):
        fetch("mine", tmp_path, lock_of(tmp_path, "a.b:one:1.0"))
    assert repository.asked == []


def test_an_unknown_set_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(JarError, match=r"'nothing'.*graphframes.*server.*spark"):
        fetch("nothing", tmp_path)


@pytest.mark.parametrize("jar_set", ["server", "gds", "spark", "graphframes"])
def test_the_lock_names_each_file_of_a_set_once(jar_set):
    names = [jar.file_name for jar in locked(jar_set)]
    assert len(names) == len(set(names)) > 0
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked(jar_set))


def test_the_lock_holds_no_address():
    assert "//" not in LOCK.read_text()
