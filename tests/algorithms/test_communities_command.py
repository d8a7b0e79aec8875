"""`python -m algorithms communities`: files in, file out, and one sentence for whatever cannot be."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from algorithms.__main__ import app

TWO_GROUPS = "src,dst,weight\na,b,1\nb,c,2\nc,a,1\nc,x,0.1\nx,y,1\ny,z,1\nz,x,1\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["communities", *map(str, arguments)])


def written(folder: Path, text: str, name: str = "edges.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def said(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return re.sub(r"\s+", " ", result.output)


@pytest.mark.parametrize("method", ["map-equation", "leiden", "louvain", "label-propagation"])
def test_two_groups_come_out_and_agree_with_the_truth(tmp_path: Path, method: str) -> None:
    truth = written(tmp_path, "id,community\na,1\nb,1\nc,1\nx,2\ny,2\nz,2\nunknown,3\n", "truth.csv")
    out = tmp_path / "communities.csv"
    result = run(written(tmp_path, TWO_GROUPS), "--out", out, "--truth", truth, "--method", method)
    assert result.exit_code == 0, result.output
    assert out.read_text() == "id,community\na,0\nb,0\nc,0\nx,1\ny,1\nz,1\n"
    assert "NMI 1.0000 ARI 1.0000 pairwise F1 1.0000" in " ".join(result.output.split())
    assert "1 only in the truth" in result.output


def test_csv_gz_and_parquet_of_text_or_numbers_give_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"src": rng.integers(100, 160, 300), "dst": rng.integers(100, 160, 300)})
    frame.write_csv(tmp_path / "e.csv")
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress((tmp_path / "e.csv").read_bytes()))
    frame.write_parquet(tmp_path / "wide.parquet")
    frame.cast(pl.UInt32).write_parquet(tmp_path / "streamed.parquet")
    frame.cast(pl.String).write_parquet(tmp_path / "text.parquet")
    tables = []
    for name in ("e.csv", "e.csv.gz", "wide.parquet", "streamed.parquet", "text.parquet"):
        assert run(tmp_path / name, "--out", tmp_path / "o.csv", "--method", "leiden").exit_code == 0
        tables.append((tmp_path / "o.csv").read_text())
    assert len(set(tables)) == 1


def test_ids_keep_their_zeros_and_spaces_and_isolated_nodes_come_from_the_nodes(tmp_path: Path) -> None:
    nodes = written(tmp_path, "id\nalone\n1\n", "nodes.csv")
    out = tmp_path / "o.csv"
    assert run(written(tmp_path, 'src,dst\n001,1\n" a",001\n'), "--out", out, "--nodes", nodes).exit_code == 0
    assert set(pl.read_csv(out, infer_schema=False)["id"]) == {"001", "1", " a", "alone"}


def test_a_graph_without_edges_has_no_communities(tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    assert run(written(tmp_path, "src,dst\n"), "--out", out).exit_code == 0
    assert out.read_text() == "id,community\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lacks the columns ['src', 'dst']"),
        ("from,to\na,b\n", "lacks the columns ['src', 'dst']; it has ['from', 'to']"),
        ("src,dst,weight\na,b,-1\n", "1 of 1 weights are negative, empty or not finite"),
        ("src,dst,weight\na,b,NaN\na,c,\na,d,heavy\n", "3 of 3 weights"),
        ("src,dst\na,\n", "1 of 1 rows have an empty dst"),
        ("src,dst\na,b,c,d\n", "cannot be read as a table"),
    ],
)
def test_bad_edges_are_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in said(run(written(tmp_path, text), "--out", tmp_path / "o.csv"))
    assert not (tmp_path / "o.csv").exists()


def test_bad_truth_files_and_choices_are_refused_in_one_sentence(tmp_path: Path) -> None:
    edges, out = written(tmp_path, TWO_GROUPS), tmp_path / "o.csv"
    other = written(tmp_path, "id,community\nq,1\n", "other.csv")
    twice = written(tmp_path, "id,community\na,1\na,2\n", "twice.csv")
    broken = written(tmp_path, "no parquet", "broken.parquet")
    assert "None of the 1 ids of the truth" in said(run(edges, "--out", out, "--truth", other))
    assert "1 ids more than one community" in said(run(edges, "--out", out, "--truth", twice))
    assert "lacks the columns ['id', 'community']" in said(run(edges, "--out", out, "--truth", edges))
    assert "cannot be read as a table" in said(run(broken, "--out", out))
    assert "There is no file" in said(run(tmp_path / "gone.csv", "--out", out))
    assert "must end in" in said(run(written(tmp_path, "x", "edges.txt"), "--out", out))
    assert "There is no method" in said(run(edges, "--out", out, "--method", "magic"))
    assert "There is no engine" in said(run(edges, "--out", out, "--engine", "cloud"))
    assert "There is no folder" in said(run(edges, "--out", tmp_path / "none" / "o.csv"))
    assert "--resolution must be above 0" in said(run(edges, "--out", out, "--resolution", "0"))
