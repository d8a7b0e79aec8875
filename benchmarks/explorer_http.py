"""A browser without a screen: it signs in and sends what Dash's renderer sends, one request after the other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import requests

_FORM_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_SECONDS = 30


class AnswerError(Exception):
    """The explorer refused, failed, or told of trouble instead of answering."""


class Browser:
    """One session. `seconds` are how long the last request took, from its first byte sent to its last received."""

    def __init__(self, http: requests.Session, url: str) -> None:
        self._http, self._url, self.seconds = http, url, 0.0
        self._callbacks: list[dict[str, Any]] = []
        self._asked = 0

    def sign_in(self, name: str, password: str) -> None:
        """Sign in through the form and open the frame."""
        token = _FORM_TOKEN.search(self._get("/login").text)
        if token is None:
            raise AnswerError("the sign-in page has no form")
        form = {"name": name, "password": password, "csrf_token": token[1]}
        said = self._timed("POST", "/login", data=form, headers={"Origin": self._url}, allow_redirects=False)
        if said.status_code != 302:
            raise AnswerError(f"sign-in: {said.status_code}")
        took = self.seconds
        self._get("/", headers={"Accept": "text/html"})
        self._callbacks = self._get("/_dash-dependencies").json()
        self._get("/_dash-layout")
        self.seconds = took

    def ask(self, kind: str, **question: Any) -> dict[str, Any]:
        """Ask a question of the canvas and return its answer."""
        self._asked += 1
        given = {"n": self._asked, **question}
        answer: dict[str, Any] = self.fire(f"canvas-answer-{kind}.data", given)[f"canvas-answer-{kind}"]["data"]
        if answer["n"] != self._asked:
            raise AnswerError(f"{kind}: another question was answered")
        return answer

    def open(self, path: str) -> float:
        """Go to a page as its links do, with what it asks when it is there; return how long it all took.

        The list of rings comes with its page and is asked for once more, as after a change of its filters.
        """
        shown = self.fire("shell-content.children", path, "", 0)
        took = self.seconds
        if path == "/rings":
            found = self.fire("rings-table.rowData", "queue", "queue", [], [], None, None, "")
            took += self.seconds
            self.fire("rings-export-go.disabled", found["rings-asked"]["data"])
            took += self.seconds
        if not shown["shell-content"]["children"]:
            raise AnswerError(f"{path}: an empty page")
        return took

    def fire(self, output: str, *values: Any) -> dict[str, Any]:
        """Run the callback that writes an output, `values` being its inputs; return what it writes, by id."""
        said = next(one for one in self._callbacks if output in _outputs(one["output"]))
        inputs = [spec | {"value": value} for spec, value in zip(_specs(said["inputs"]), values, strict=True)]
        names = [
            {"id": id, "property": what} for id, what in (name.rsplit(".", 1) for name in _outputs(said["output"]))
        ]
        body = {
            "output": said["output"], "outputs": names if said["output"].startswith("..") else names[0],
            "inputs": inputs, "changedPropIds": [f"{inputs[0]['id']}.{inputs[0]['property']}"],
            "state": [spec | {"value": None} for spec in _specs(said["state"])],
        }  # fmt: skip
        cookie = self._http.cookies.get("_csrf_token") or ""
        headers = {"Origin": self._url, "X-CSRFToken": cookie.strip('"')}
        answer = self._timed("POST", "/_dash-update-component", json=body, headers=headers)
        told = answer.json() if answer.status_code == 200 else {}
        if output.split(".", 1)[0] not in told.get("response", {}) or "shell-trouble" in told.get("sideUpdate", {}):
            raise AnswerError(f"{output}: {answer.status_code} {' '.join(_sentences(told.get('sideUpdate')))[:200]}")
        response: dict[str, Any] = told["response"]
        return response

    def _get(self, path: str, **options: Any) -> requests.Response:
        said = self._timed("GET", path, **options)
        if said.status_code != 200:
            raise AnswerError(f"{path}: {said.status_code}")
        return said

    def _timed(self, method: str, path: str, **options: Any) -> requests.Response:
        begun = time.perf_counter()
        said = self._http.request(method, self._url + path, timeout=_SECONDS, **options)
        self.seconds = time.perf_counter() - begun
        return said


def _outputs(text: str) -> list[str]:
    return [part.split("@")[0] for part in text.strip(".").split("...")]


def _specs(specs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": spec["id"], "property": spec["property"]} for spec in specs]


def _sentences(part: Any) -> Iterable[str]:
    """Yield the texts of what a page was told besides an answer."""
    if isinstance(part, str) and part.endswith("."):
        yield part
    elif isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _sentences(inner)
