"""Every sentence is there in both languages, with the same gaps to fill, and numbers follow the language."""

from __future__ import annotations

import ast
import datetime as dt
import re
import string
from pathlib import Path

import pytest
import yaml

from explorer.rights import Role
from explorer.words import LANGUAGES, WordMissingError, catalog, moment, money, ratio, say, score, written

PACKAGE = Path(__file__).parents[2] / "explorer"
PAGES = sorted({path.stem for path in (PACKAGE / "words").glob("*/*.yml")})


def gaps(entry: object) -> set[str]:
    texts = entry.values() if isinstance(entry, dict) else [entry]
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(str(text)) if name}


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_words_with_the_same_gaps(page: str) -> None:
    zh, en = (catalog(language, page) for language in LANGUAGES)
    assert sorted(zh) == sorted(en)
    assert {key: gaps(zh[key]) for key in zh} == {key: gaps(en[key]) for key in en}
    for entry in [*zh.values(), *en.values()]:
        texts = list(entry.values()) if isinstance(entry, dict) else [entry]
        assert all(isinstance(text, str) and text.strip() for text in texts)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_are_sorted_and_none_is_there_twice(page: str, language: str) -> None:
    text = (PACKAGE / "words" / language / f"{page}.yml").read_text()
    keys = re.findall(r"^'?([A-Za-z_0-9.]+)'?:", text, re.MULTILINE)
    assert keys == sorted(set(keys))
    assert set(keys) == set(yaml.safe_load(text))


def test_every_sentence_that_the_program_says_is_there() -> None:
    missing = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            first = node.args[0]
            if node.func.id == "say" and isinstance(first, ast.Constant) and first.value not in known():
                missing.append(f"{path.name}: {first.value}")
    for path in PACKAGE.rglob("*.html"):
        missing += [
            f"{path.name}: {key}" for key in re.findall(r'say\("([^"]+)"', path.read_text()) if key not in known()
        ]
    assert not missing


def known() -> set[str]:
    return {f"{page}.{key}" for page in PAGES for key in catalog("en", page)}


def test_every_word_that_a_table_of_the_program_names_is_there() -> None:
    pattern = re.compile(rf'"((?:{"|".join(PAGES)})\.[a-z_]+)"')
    actions = {str(line.split(":")[0].strip()) for line in (PACKAGE / "rights.yml").read_text().splitlines()}
    named = {key for path in PACKAGE.rglob("*.py") for key in pattern.findall(path.read_text())}
    files = {f"{path.stem}.{path.suffix[1:]}" for path in PACKAGE.rglob("*.*")}
    assert named - known() - actions - files == set()


def test_every_role_has_a_name() -> None:
    assert set(catalog("en", "roles")) == set(Role)


def test_a_missing_word_is_an_error_that_names_its_file() -> None:
    with pytest.raises(WordMissingError, match=r"words/zh/shell\.yml lacks nothing_such"):
        say("shell.nothing_such", in_language="zh")


def test_numbers_money_and_times_follow_the_language() -> None:
    at = dt.datetime(2026, 6, 30, 16, 5, tzinfo=dt.UTC)
    assert written(1234567, "en") == written(1234567, "zh") == "1,234,567"
    assert money(1234.5, "en") == "CN¥1,234.50"
    assert money(1234.5, "zh") == "¥1,234.50"
    assert ratio(0.1234, 1, "en") == "12.3%"
    assert score(0.996, "en") == "1.00"
    assert moment(at, "en") == "Jun 30, 2026 16:05"
    assert moment(at, "zh") == "2026年6月30日 16:05"
    assert written(dt.date(2026, 6, 30), "zh") == "2026年6月30日"
    assert written(None, "zh") == "—"
    assert (
        say("errors.locked_out", in_language="zh", minutes=15) == "登录失败次数过多。请等待15分钟，或请管理员重置密码。"
    )
