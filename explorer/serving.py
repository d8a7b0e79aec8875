"""The explorer under gunicorn: threads, no reloader, one master that outlives a failing worker."""

from __future__ import annotations

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from explorer.settings import ExplorerSettings


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: ExplorerSettings, options: dict[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # In the worker: connections and threads must not be forked.
        from explorer.application import create_app
        from explorer.canvas.warming import warm_beside

        app = create_app(self._settings)
        warm_beside(app.extensions["desk"].door)
        return app


def serve(settings: ExplorerSettings) -> None:
    """Serve until interrupted."""
    options = {
        "bind": f"{settings.host}:{settings.port}", "workers": settings.workers, "threads": settings.threads,
        "worker_class": "gthread", "timeout": 60, "graceful_timeout": 5, "keepalive": 15, "loglevel": "warning",
        "accesslog": None, "proc_name": "credit-graph-explorer", "control_socket_disable": True,
        "worker_tmp_dir": None, "forwarded_allow_ips": "127.0.0.1" if settings.proxies else "",
    }  # fmt: skip
    _Server(settings, options).run()
