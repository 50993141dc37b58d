"""The notebooks for lectures: they run from top to bottom, show what they promise, and use public names only."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import nmt

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUM_PICTURES = {
    "1_recurrent_cells": 5,
    "2_sequence_to_sequence": 2,
    "3_attention": 1,
    "4_hierarchical_attention": 3,
    "5_transformer_memory_act": 4,
}
"""The pictures that each notebook shows."""
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

RUN = """
import ast, json, sys
shown, names = [], {}
for cell in json.load(sys.stdin):
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    methods = [method for method in ("_repr_html_", "_repr_svg_") if hasattr(value, method)]
    assert methods or not type(value).__module__.startswith("nmt."), f"{cell} shows raw text"
    shown += [getattr(value, method)() for method in methods]
json.dump([each for each in shown if each is not None], open(sys.argv[1], "w"))
"""
"""Executes the cells in one namespace and writes what a notebook shows as HTML and SVG."""


def cells_of(notebook: Path, kind: str) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == kind]


def code_of(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells_of(notebook, "code")]


def test_there_is_a_notebook_for_each_lecture_and_the_page_lists_it() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(NUM_PICTURES)
    page = (FOLDER.parents[1] / "docs" / "tutorials" / "index.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)\.ipynb` \|", page, re.MULTILINE) == list(NUM_PICTURES)


@each_notebook
def test_a_notebook_is_valid_holds_no_outputs_and_has_links_that_lead_to_files(notebook: Path) -> None:
    found = json.loads(notebook.read_text("utf-8"))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])
    for cell in cells_of(notebook, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert notebook.stat().st_size < 30_000
    text = "".join(line for cell in cells_of(notebook, "markdown") for line in cell["source"])
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert links
    assert [link for link in links if not (FOLDER / link).resolve().is_file()] == []


@each_notebook
def test_a_notebook_names_public_names_only(notebook: Path) -> None:
    trees = [ast.parse(code) for code in code_of(notebook)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported | modules if name and name.startswith("nmt.")]
    of_nmt = [node for node in nodes if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "nmt"]
    assert of_nmt
    of_extensions = {entry.name for entry in entry_points(group="nmt.names")}  # also of those that were deleted
    assert {node.attr for node in of_nmt} <= set(dir(nmt)) | of_extensions
    assert [node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr.startswith("_")] == []


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs_and_shows_its_pictures(notebook: Path, tmp_path: Path) -> None:
    code = code_of(notebook)
    assert sum("assert " in cell for cell in code) == 1, "a cell checks the statements of the notebook"
    subprocess.run(
        [sys.executable, "-c", RUN, tmp_path / "shown.json"],
        input=json.dumps(code),
        text=True,
        check=True,
        env={**os.environ, "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)},
    )
    shown = json.loads((tmp_path / "shown.json").read_text("utf-8"))
    assert sum(each.startswith("<?xml") for each in shown) == NUM_PICTURES[notebook.stem]
    assert all("<svg" in each or "<table" in each for each in shown)
