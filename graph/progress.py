"""What a person sees while Spark works: a bar over the tasks of the jobs that run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_EVERY_S = 0.5


@contextmanager
def task_bar(console: Console, text: str, session: Callable[[], SparkSession | None]) -> Iterator[None]:
    """Show a bar of finished tasks, and their stages' total, while the block runs; only the time until Spark has begun.

    Args:
        session: returns the session, or None while there is none.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[tasks]}"))
    stop = Event()
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task(text, total=None, tasks="")

        def watch() -> None:
            while not stop.wait(_EVERY_S):
                spark = session()
                if spark is None:
                    continue
                tracker = spark.sparkContext.statusTracker()
                stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                done = sum(stage.numCompletedTasks for stage in stages if stage)
                total = sum(stage.numTasks for stage in stages if stage)
                if total:
                    progress.update(bar, completed=done, total=total, tasks=f"{done}/{total} tasks")

        thread = Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
