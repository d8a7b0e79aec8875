"""The models of a lender and the ledger of what became of them: registered, promoted, refused, rolled back.

    FOLDER/<version>/          card.json, model/…, plots/*.png, predictions.parquet; never changed once it is there
    FOLDER/scores/<sha>.parquet  what a model said of another window, by the file's SHA-256
    FOLDER/ledger.jsonl        one line an event, chained by SHA-256; who is champion follows from it alone
    FOLDER/champion.json       the champion as the ledger has it, for whoever reads no ledger

Files come under a temporary name, reach the disk, and are renamed; one writer at a time holds `FOLDER/.lock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gnn.champion import durable
from gnn.champion.card import PREDICTIONS, Card, Predictions, trained_files
from gnn.champion.gate import Decision, GateSettings, Replay, decide, replayed
from graph.audit import GENESIS, Chain
from graph.model_registry import CARD, LEDGER, POINTER, card_text, line_hash, moves, pointer, standing, walk

_SCORES = "scores"
_FRESH = ".new-"


class RegistryError(Exception):
    """The registry cannot do what was asked; the text says what was needed, what was found, what to do."""


class DamagedModelError(RegistryError):
    """A registered file is missing, changed or new; the text names it."""


class LedgerError(RegistryError):
    """The ledger is broken, so that nobody can say who is champion; the text names the line."""


class Registry:
    """The models in one folder, which is made on the first registration."""

    def __init__(self, folder: Path):
        self.folder = folder

    def register(self, trained: Path, card: Card) -> str:
        """Copy a trained model into the registry and return its version, `<kind>-<data digest 8>-<n>`, n from 1.

        Args:
            trained: a folder with `model/` (at least one file), `predictions.parquet` of the card's test window, and
                perhaps `plots/` with PNG files. It is left as it is.
            card: without version and files, which are filled in.

        Raises:
            CardError: see `card.trained_files`.
            LedgerError: the ledger is broken.
        """
        paths = trained_files(trained, card)
        with self._lock():
            lines = self._lines()
            self._point(lines)
            version = self._next(f"{card.kind}-{card.data_digest[:8]}-", lines)
            for left in self.folder.glob(f"{_FRESH}*"):  # by a process that died: only the holder of the lock copies
                shutil.rmtree(left)
            fresh = self.folder / f"{_FRESH}{version}"
            files = {}
            for path in paths:
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                files[path.as_posix()] = durable.copy(trained / path, fresh / path)
            whole = card.model_copy(update={"version": version, "files": files})
            text = whole.model_dump_json(indent=1) + "\n"
            durable.write(fresh / CARD, text)
            for folder in (*(p for p in fresh.rglob("*") if p.is_dir()), fresh):
                durable.sync(folder)
            fresh.rename(self.folder / version)
            durable.sync(self.folder)
            self._append(lines, {"what": "registered", "version": version, "card": durable.sha(text.encode())})
        return version

    def versions(self) -> list[str]:
        """Return the registered models, the oldest first."""
        return [line["version"] for line in self._lines() if line["what"] == "registered"]

    def card(self, version: str) -> Card:
        """Return a model's card.

        Raises:
            RegistryError: there is no such model.
            DamagedModelError: the card is not the one that was registered.
        """
        return self._card(version, self._lines())

    def predictions(self, version: str) -> Predictions:
        """Return what a model said of its test window."""
        return Predictions.read(self.folder / version / PREDICTIONS, version, self.card(version).learned_until)

    def verify(self, version: str) -> None:
        """Return if every file of a model is as it was registered, and there is no other.

        Raises:
            RegistryError: there is no such model.
            DamagedModelError: names the first file that is not.
        """
        self._verify(version, self._lines())

    def champion(self) -> str | None:
        """Return the model in place as the ledger has it, or None; `champion.json` is brought up to date.

        Raises:
            LedgerError: the ledger is broken.
        """
        lines = self._lines()
        if self._stale(lines):
            with suppress(OSError), self._lock():  # whoever may only read is told all the same
                self._point(self._lines())
        return standing(lines)

    def ledger(self) -> list[dict[str, Any]]:
        """Return all lines, the oldest first; line n has `seq` n."""
        return self._lines()

    def verify_ledger(self) -> Chain:
        """Walk the chain from its first line and name the first that is missing, changed or out of place.

        Lines cut from the end are noticed back to the last promotion, which `champion.json` remembers; keep the
        `head` elsewhere and compare to notice the others.
        """
        return walk(self.folder)[1]

    def promote(
        self,
        challenger: str,
        *,
        budget: float,
        seed: int,
        rounds: int = 2000,
        confidence: float = 0.95,
        baseline: str | None = None,
        scores: Mapping[str, Path] | None = None,
        settings: GateSettings | None = None,
    ) -> Decision:
        """Decide whether a challenger takes the champion's place, write that down, and then move the pointer.

        A crash before the line changes nothing; after it the challenger is champion. Of two promotions at once the
        second meets the champion that the first has made.

        Args:
            challenger: a registered model.
            budget, seed, rounds, confidence, settings: see `gate.decide`.
            baseline: a registered model to beat as well, such as trees without the graph.
            scores: predictions by version where those of registration will not do, as a champion's scores of the
                challenger's window. They are kept in the registry.

        Raises:
            RegistryError: a model is not registered, or the challenger is the champion or the baseline.
            DamagedModelError: a file of one of the models is not as it was registered.
            LedgerError: the ledger is broken.
            CardError: predictions cannot be read.
            GateError: an argument is out of bounds.
        """
        settings = settings or GateSettings()
        with self._lock():
            lines = self._lines()
            self._point(lines)
            champion = standing(lines)
            roles = {"challenger": challenger, "champion": champion, "baseline": baseline}
            if challenger in (champion, baseline):
                role = "champion" if challenger == champion else "baseline"
                raise RegistryError(f"{challenger} is the {role} already. Name another model as the challenger.")
            models = sorted({version for version in roles.values() if version})
            for version in models:
                self._verify(version, lines)
            if strange := sorted({*(scores or {})} - {*models}):
                raise RegistryError(f"Scores were given of {strange[0]}, which takes no part; {models} do.")
            kept = {v: self._keep(path, v) for v, path in (scores or {}).items()}
            digests = {v: kept.get(v) or self._card(v, lines).files[PREDICTIONS] for v in models}
            terms = {
                "budget": budget, "seed": seed, "rounds": rounds, "confidence": confidence,
                "settings": settings.model_dump(),
            }  # fmt: skip
            decision = self._decide(roles, digests, terms, lines)
            line = {"what": "promoted" if decision.promoted else "refused", "version": challenger, "roles": roles}
            tried = (old for old in lines if old["what"] in ("promoted", "refused"))
            attempt = 1 + sum(_same_try(old, challenger, digests[challenger]) for old in tried)
            told = {"attempt": attempt, "predictions": digests, **terms, "decision": decision.record()}
            self._point(self._append(lines, line | told))
        return decision

    def roll_back(self, reason: str) -> str:
        """Put the champion before this one back in its place and return it; again, the one before that.

        Raises:
            RegistryError: there is none, or no reason is given.
            DamagedModelError: a file of it is not as it was registered; the champion stays.
            LedgerError: the ledger is broken.
        """
        if not reason.strip():
            raise RegistryError("A reason for rolling back is needed, in words, for whoever reads the ledger.")
        with self._lock():
            lines = self._lines()
            self._point(lines)
            history = _history(lines)
            if len(history) < 2:
                found = f"only {history[0]} was ever promoted" if history else "nothing was promoted yet"
                raise RegistryError(f"There is no champion to go back to: {found}. Promote another model instead.")
            here, before = history[-1], history[-2]
            self._verify(before, lines)
            line = {"what": "rolled_back", "version": before, "from": here, "reason": reason.strip()}
            self._point(self._append(lines, line))
        return before

    def replay(self, line_number: int) -> Replay:
        """Make the decision of a line anew, from the files it rests on, and say whether it is the same.

        Args:
            line_number: from 1.

        Raises:
            RegistryError: the line is not there or is no decision.
            DamagedModelError: predictions are not those that were decided on.
            LedgerError: the ledger is broken.
        """
        lines = self._lines()
        line = lines[line_number - 1] if 0 < line_number <= len(lines) else {}
        if line.get("what") not in ("promoted", "refused"):
            found = f"it is {line['what']}" if line else f"there are {len(lines)} lines"
            raise RegistryError(f"Line {line_number} was needed as a decision; {found}. Look at the ledger.")
        terms = {name: line[name] for name in ("budget", "seed", "rounds", "confidence", "settings")}
        decision = self._decide(line["roles"], line["predictions"], terms, lines)
        return replayed(decision, line["decision"])

    def _decide(
        self,
        roles: Mapping[str, str | None],
        digests: Mapping[str, str],
        terms: Mapping[str, Any],
        lines: list[dict[str, Any]],
    ) -> Decision:
        def said(role: str) -> Predictions | None:
            version = roles[role]
            if version is None:
                return None
            card, digest = self._card(version, lines), digests[version]
            own = self.folder / version / PREDICTIONS
            path = own if card.files[PREDICTIONS] == digest else self.folder / _SCORES / f"{digest}.parquet"
            if not path.is_file() or durable.sha_of(path) != digest:
                raise DamagedModelError(f"{path} is missing or not the file that was decided on. Restore it.")
            return Predictions.read(path, version, card.learned_until)

        challenger = said("challenger")
        assert challenger is not None
        settings = GateSettings(**terms["settings"])
        rest = {name: terms[name] for name in ("budget", "rounds", "seed", "confidence")}
        return decide(said("champion"), challenger, baseline=said("baseline"), settings=settings, **rest)

    def _card(self, version: str, lines: list[dict[str, Any]]) -> Card:
        try:
            text = card_text(self.folder, version, lines)
        except LookupError:
            known = ", ".join(old["version"] for old in lines if old["what"] == "registered") or "none"
            raise RegistryError(f"The model {version} was needed; registered are {known}. Register it.") from None
        try:
            return Card.model_validate_json(text or b"")
        except ValidationError:
            path = self.folder / version / CARD
            raise DamagedModelError(f"{path} is missing or not as it was registered. Restore it.") from None

    def _verify(self, version: str, lines: list[dict[str, Any]]) -> None:
        card, folder = self._card(version, lines), self.folder / version
        for name, digest in card.files.items():
            if not (folder / name).is_file() or durable.sha_of(folder / name) != digest:
                found = "changed" if (folder / name).is_file() else "missing"
                raise DamagedModelError(f"{folder / name} is {found} since it was registered. Restore it.")
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        if strange := sorted(there - {*card.files, CARD}):
            raise DamagedModelError(f"{folder / strange[0]} was not there when the model was registered. Take it out.")

    def _next(self, stem: str, lines: list[dict[str, Any]]) -> str:
        taken = {line["version"] for line in lines} | {path.name for path in self.folder.iterdir()}
        numbers = [
            int(name.removeprefix(stem)) for name in taken if name.startswith(stem) and name[len(stem) :].isdigit()
        ]
        return f"{stem}{max(numbers, default=0) + 1}"

    def _keep(self, path: Path, version: str) -> str:
        """Copy a file of predictions under the name of its content, and return that."""
        Predictions.read(path, version)
        folder = self.folder / _SCORES
        folder.mkdir(exist_ok=True)
        part = folder / f"{_FRESH}{version}"
        part.unlink(missing_ok=True)
        digest = durable.copy(path, part)
        os.replace(part, folder / f"{digest}.parquet")
        durable.sync(folder)
        return digest

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Be the only writer; a killed holder lets go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _lines(self) -> list[dict[str, Any]]:
        lines, chain = walk(self.folder)
        if chain.first_broken_seq is not None:
            raise LedgerError(
                f"{self.folder / LEDGER} was needed whole and is broken at line {chain.first_broken_seq}. Restore it "
                "from the backup: nobody can say who is champion."
            )
        return lines

    def _append(self, lines: list[dict[str, Any]], content: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Write one line, after `lines` and nothing else, and return all once it is on disk; the lock is held."""
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        previous = lines[-1]["hash"] if lines else GENESIS
        line = {"seq": len(lines) + 1, "at": at, **content, "previous_hash": previous}
        line = json.loads(json.dumps(line, allow_nan=False))
        line["hash"] = line_hash(line)
        path = self.folder / LEDGER
        with path.open("ab") as file:
            written = path.read_bytes()
            file.truncate(written.rfind(b"\n") + 1)  # what a crash left of a line
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        durable.sync(self.folder)
        return [*lines, line]

    def _stale(self, lines: list[dict[str, Any]]) -> bool:
        return bool(moves(lines)) and pointer(self.folder) != _pointed(lines)

    def _point(self, lines: list[dict[str, Any]]) -> None:
        """Let `champion.json` say what the ledger says; the lock is held."""
        if self._stale(lines):
            part = self.folder / f"{_FRESH}{POINTER}.part"
            durable.write(part, json.dumps(_pointed(lines)) + "\n")
            os.replace(part, self.folder / POINTER)
            durable.sync(self.folder)


def _same_try(line: Mapping[str, Any], challenger: str, predictions: str) -> bool:
    """Whether a decision was about this challenger, perhaps registered under another version."""
    return bool(line["version"] == challenger or line["predictions"].get(line["version"]) == predictions)


def _history(lines: list[dict[str, Any]]) -> list[str]:
    """Return the champions that a roll back leads through, the one in place last."""
    history: list[str] = []
    for line in moves(lines):
        if line["what"] == "promoted":
            history.append(line["version"])
        else:
            history.pop()
    return history


def _pointed(lines: list[dict[str, Any]]) -> dict[str, Any]:
    line = moves(lines)[-1]
    return {"version": line["version"], "line": line["seq"], "hash": line["hash"]}
