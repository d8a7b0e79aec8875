"""The Java that Neo4j runs on: found, checked, and its options."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_MIN_JAVA = 17
JVM_OPTIONS = (
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
    ),
    "--enable-native-access=ALL-UNNAMED",
    "--add-modules=jdk.incubator.vector",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
)


class ServerError(Exception):
    """The local Neo4j could not do what was asked; the message says why and what to do."""


def find_java() -> str:
    """Return the path of a Java that can run Neo4j: from `JAVA_HOME`, or else from `PATH`."""
    mend = "Install one: `sudo apt-get install openjdk-17-jre-headless` or `brew install openjdk@17`, or set JAVA_HOME."
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        place = f"in JAVA_HOME ({home})" if home else "on PATH"
        raise ServerError(f"Java {_MIN_JAVA} or newer was needed and no `java` is {place}. {mend}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if version is None or int(version[1]) < _MIN_JAVA:
        what = f"version {version[1]}" if version else "one that does not tell its version"
        raise ServerError(f"Java {_MIN_JAVA} or newer was needed and {found} is {what}. {mend}")
    return found
