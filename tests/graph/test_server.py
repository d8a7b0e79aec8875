import os
import socket
import stat

import psutil
import pytest
from neo4j.exceptions import Neo4jError

from graph.java import ServerError
from graph.server import LocalServer, ServerNotRunningError, connect, free_port
from graph.settings import Neo4jSettings


@pytest.fixture
def stopped(tmp_path) -> LocalServer:
    settings = Neo4jSettings(uri=None, home=tmp_path / "home", port=free_port())
    return LocalServer(settings, tmp_path / "cache")


def process_of(server: LocalServer) -> psutil.Process:
    pid = server.status().pid
    assert pid is not None
    return psutil.Process(pid)


@pytest.mark.neo4j
def test_the_password_is_random_and_its_file_is_for_the_owner_alone(neo4j_server):
    assert len(neo4j_server.password()) >= 32
    assert stat.S_IMODE((neo4j_server.home / "password").stat().st_mode) == 0o600


@pytest.mark.neo4j
def test_the_password_shows_in_no_process_and_in_no_other_file(neo4j_server):
    password = neo4j_server.password()
    assert not any(password in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
    files = [path for path in neo4j_server.home.rglob("*") if path.is_file() and path.name != "password"]
    assert [path for path in files if password.encode() in path.read_bytes()] == []


@pytest.mark.neo4j
def test_only_the_loopback_interface_listens(neo4j_server):
    listening = [c.laddr for c in process_of(neo4j_server).net_connections() if c.status == psutil.CONN_LISTEN]
    # Java shows an IPv4 address in the IPv6 form.
    assert [(ip.removeprefix("::ffff:"), port) for ip, port in listening] == [("127.0.0.1", neo4j_server.settings.port)]


@pytest.mark.neo4j
def test_a_second_start_changes_nothing(neo4j_server):
    before = neo4j_server.status()
    neo4j_server.start()
    assert neo4j_server.status() == before
    assert before.running
    assert before.store == "empty"


@pytest.mark.neo4j
def test_the_server_outlives_the_command_that_started_it(neo4j_server):
    pid = process_of(neo4j_server).pid
    assert os.getsid(pid) == pid != os.getsid(0)


@pytest.mark.neo4j
def test_a_killed_server_starts_again_with_all_it_had_acknowledged(neo4j_server, driver):
    for number in range(20):
        driver.execute_query("CREATE (:Company {id: $id})", id=f"c{number}")
    process = process_of(neo4j_server)
    process.kill()
    process.wait(30)
    assert not neo4j_server.status().running
    neo4j_server.start()
    assert driver.execute_query("MATCH (n:Company) RETURN count(n) AS n").records[0]["n"] == 20


@pytest.mark.neo4j
def test_a_server_whose_pid_file_was_lost_is_found_again(neo4j_server):
    pid_file = neo4j_server.home / "run" / "serving.pid"
    pid = pid_file.read_text()
    pid_file.unlink()
    assert neo4j_server.status().pid == int(pid)
    pid_file.write_text(pid)


@pytest.mark.neo4j
def test_files_of_the_machine_cannot_be_read_through_cypher(neo4j_server, driver):
    with pytest.raises(Neo4jError, match="allow_csv_import_from_file_urls"):
        driver.execute_query("LOAD CSV FROM 'file:///etc/hostname' AS line RETURN line")


@pytest.mark.neo4j
def test_connect_takes_the_server_that_the_settings_name(neo4j_server, tmp_path):
    password = neo4j_server.password()
    elsewhere = Neo4jSettings(uri=neo4j_server.uri, password=password, home=tmp_path)
    with connect(elsewhere, tmp_path) as driver:
        assert driver.execute_query("RETURN 1 AS one").records[0]["one"] == 1
    with connect(neo4j_server.settings, neo4j_server.cache) as driver:
        driver.verify_connectivity()


@pytest.mark.neo4j
def test_a_wrong_password_is_told_in_a_sentence(neo4j_server, tmp_path):
    with pytest.raises(ServerError, match=r"refuses the user or the password.*NEO4J_PASSWORD"):
        connect(Neo4jSettings(uri=neo4j_server.uri, password="wrong"), tmp_path)


def test_connect_without_a_running_server_says_how_to_start_one(stopped):
    with pytest.raises(ServerNotRunningError, match=r"`make server-start`.*NEO4J_URI"):
        connect(stopped.settings, stopped.cache)
    with pytest.raises(ServerNotRunningError, match="does not answer"):
        connect(Neo4jSettings(uri=f"bolt://127.0.0.1:{free_port()}", password="any"), stopped.cache)


def test_a_port_in_use_is_told_with_its_program_and_another_port(stopped):
    told = rf"Port {stopped.settings.port} .*process {os.getpid()}.*NEO4J_PORT=\d+"
    with socket.create_server(("127.0.0.1", stopped.settings.port)), pytest.raises(ServerError, match=told):
        stopped.start()
    assert not stopped.status().running


def test_a_pid_that_now_belongs_to_another_program_does_not_count(stopped):
    run = stopped.home / "run"
    run.mkdir(parents=True)
    (run / "serving.pid").write_text(str(os.getpid()))
    assert not stopped.status().running
    stopped.stop()
    assert not (run / "serving.pid").exists()


def test_without_java_the_sentence_says_how_to_install_it(stopped, tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"Java 17 or newer was needed and no `java` is on PATH.*apt-get install"):
        stopped.start()


def test_an_old_java_is_refused_with_its_version(stopped, tmp_path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("""#!/bin/sh\necho 'openjdk version "1.8.0_392"' >&2\n""")
    java.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ServerError, match=r"is version 8\. Install one"):
        stopped.start()


def test_a_password_is_not_made_up_where_no_server_was_started(stopped):
    with pytest.raises(ServerError, match=r"No password was found .*server start"):
        stopped.password()


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".hidden", "a b", "a,b"])
def test_a_store_name_never_leaves_the_folder_of_the_stores(stopped, name):
    with pytest.raises(ServerError, match="letters, digits"):
        stopped.store_path(name)


def test_a_password_that_begins_with_a_dash_is_a_password_and_shows_in_no_error(new_server, tmp_path):
    server = new_server(tmp_path / "home")
    server.home.mkdir()
    (server.home / "password").write_text("-mRQl9aFvzNhlFuseavKyg0img-rWoRM")
    server.prepare_store("new")
    with pytest.raises(ServerError) as refused:
        server.admin("new", ["dbms", "set-initial-password", server.password()])
    assert server.password() not in str(refused.value)
