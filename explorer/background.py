"""The explorer as a process of its own that outlives the command which starts it, as the demo leaves it running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import requests

_READY_SECONDS = 120
_STOP_SECONDS = 20


class BackgroundError(Exception):
    """The explorer did not start, or something else listens where it should; the text says what to do."""


class Background:
    """One explorer under a folder: `explorer.json` names its process, `explorer.log` holds what it said."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self.url = url

    @property
    def log(self) -> Path:
        """What the process wrote."""
        return self._folder / "explorer.log"

    def running(self) -> psutil.Process | None:
        """Return its process, None where it does not run."""
        try:
            said = json.loads(self._named.read_text())
            process = psutil.Process(said["pid"])
            same = abs(process.create_time() - said["began"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
            return None
        return process if same else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it with these settings beside the ones of this process, and return once it answers.

        One that runs is stopped first: its settings may be others, and its program older.

        Raises:
            BackgroundError: it ended, something else answers at its address, or it did not answer in time.
        """
        self.stop()
        if self._answers():
            raise BackgroundError(
                f"Something else answers at {self.url}, where the explorer should. End it, or set EXPLORER_PORT."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "explorer", "serve"]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **environment},
            )  # fmt: skip
        self._named.write_text(json.dumps({"pid": child.pid, "began": psutil.Process(child.pid).create_time()}))
        until = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if child.poll() is not None:
                raise BackgroundError(f"The explorer ended at once. What it said is in {self.log}.")
            if time.monotonic() > until:
                raise BackgroundError(
                    f"The explorer did not answer at {self.url} within {_READY_SECONDS} s. See {self.log}."
                )
            time.sleep(0.2)

    def stop(self) -> bool:
        """Stop it with its workers; return whether it ran."""
        process = self.running()
        self._named.unlink(missing_ok=True)
        if process is None:
            return False
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(family, timeout=_STOP_SECONDS)
        for stubborn in left:
            stubborn.kill()
        return True

    @property
    def _named(self) -> Path:
        return self._folder / "explorer.json"

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthy", timeout=2).ok
        except requests.RequestException:
            return False
