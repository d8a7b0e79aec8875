"""Notebooks: pairs that say the same, without outputs; those that need no Neo4j are run here, the first in `jobs`."""

import jupytext
import pytest

from tests.notebooks.running import NOTEBOOKS, run

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def test_there_are_three_notebooks() -> None:
    assert NAMES == ["01-first-look", "02-data-set-as-of-a-day", "03-train-compare-explain"]


@pytest.mark.parametrize("name", NAMES)
def test_the_text_and_the_notebook_are_the_same_and_no_output_is_kept(name: str) -> None:
    book, text = (jupytext.read(NOTEBOOKS / f"{name}.{ending}") for ending in ("ipynb", "py"))
    assert [(c.cell_type, c.source) for c in book.cells] == [(c.cell_type, c.source) for c in text.cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)


@pytest.mark.drill
@pytest.mark.timeout(1_300)
def test_a_data_set_is_made_and_models_are_trained_on_it_by_notebooks(tmp_path) -> None:
    settings = {"NOTEBOOK_HOME": str(tmp_path)}
    run("02-data-set-as-of-a-day.ipynb", settings)
    run("03-train-compare-explain.ipynb", settings)
