"""Scripts and styles of the program, which a browser may keep: they are the same for everybody who may fetch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_YEAR = "private, max-age=31536000, immutable"
_OF_ONE_READER = frozenset({"set-cookie", "vary"})


class ProgramFiles:
    """Takes from files whose address names their version what would make a browser fetch them again on every page.

    Flask writes `Vary: Cookie`, and Flask-Security its token's cookie, after all that the application can change.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does."""
        path, query = str(environ.get("PATH_INFO", "")), str(environ.get("QUERY_STRING", ""))
        asset = path.startswith("/assets/") and query.startswith("m=")
        if not asset and not path.startswith("/_dash-component-suites/"):
            return self._application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = {name.lower(): value for name, value in headers}.get("cache-control", "")
            if status.startswith("200") and (asset or "max-age" in kept):
                dropped = _OF_ONE_READER | {"cache-control"}
                headers = [(name, value) for name, value in headers if name.lower() not in dropped]
                headers.append(("Cache-Control", _YEAR))
            return start_response(status, headers, *more)

        return self._application(environ, start)
