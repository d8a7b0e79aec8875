"""What a figure was measured on, and the peak memory of a process tree."""

from __future__ import annotations

import os
import platform
import subprocess
from threading import Event, Thread
from types import TracebackType
from typing import Any

import psutil


def description() -> dict[str, Any]:
    """Return processor, cores, memory, system and versions, to stand beside every result."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            model = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": java[0] if java else "",
        "load_average_before": os.getloadavg()[0],
    }


class PeakMemory:
    """While entered, samples the resident memory of this process, its children and `others`; `peak_gb` is the most."""

    def __init__(self, others: list[int] | None = None, every_s: float = 0.5):
        self._others, self._every, self._stop, self.peak_gb = others or [], every_s, Event(), 0.0

    def __enter__(self) -> PeakMemory:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(self._every):
            total = 0
            roots = [me, *(psutil.Process(pid) for pid in self._others if psutil.pid_exists(pid))]
            for process in {p.pid: p for root in roots for p in [root, *root.children(recursive=True)]}.values():
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_gb = max(self.peak_gb, round(total / 1e9, 2))
