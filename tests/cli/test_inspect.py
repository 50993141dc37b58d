"""``nmt inspect run`` as a user sees it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_table_has_a_column_a_run(run_nmt: RunNmt, tiny_model: Path, vanilla_model: Path) -> None:
    done = run_nmt("inspect", "run", tiny_model, vanilla_model)
    assert done.returncode == 0
    [updates] = [line for line in done.stdout.splitlines() if line.startswith("updates")]
    assert updates.split() == ["updates", "200", "1"]
    assert "max_steps (200)" in done.stdout
    assert done.stderr == ""


def test_json_holds_the_figures_and_curves_go_to_a_file(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = run_nmt("inspect", "run", tiny_model, "--json", "-o", tmp_path / "curves.png", "--x", "minutes")
    assert done.returncode == 0
    [run] = json.loads(done.stdout)["runs"]
    lines = [json.loads(line) for line in (tiny_model / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert run["bleu"] == max(line["bleu"] for line in lines if line["event"] == "valid")
    assert run["updates"] == 200
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_run_is_told(run_nmt: RunNmt, tmp_path: Path) -> None:
    done = run_nmt("inspect", "run", tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path / 'metrics.jsonl'} can't be read" in done.stderr
    assert "nmt train" in done.stderr


@pytest.mark.slow
def test_the_page_of_a_sentence_compares_models(
    run_nmt: RunNmt, tiny_model: Path, vanilla_model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    options = ["--compare", vanilla_model, "--beam-size", "2", "--alternatives", "1", "-o", page]
    done = run_nmt("inspect", "sentence", tiny_model, *options, stdin="Der Hund schläft im Garten.\n\nDas Kind.\n")
    assert (done.returncode, done.stderr) == (0, f"wrote {page}\n")
    html = page.read_text("utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert html.count('"views":') == 2
    done = run_nmt("inspect", "sentence", tiny_model, "Hund " * 150, "-o", page)
    assert done.returncode == 2
    assert "a page shows 1 to 100" in done.stderr
    assert page.read_text("utf-8") == html


def test_a_run_without_a_film_says_how_to_record_one(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = run_nmt("inspect", "film", tiny_model, "-o", tmp_path / "film.html")
    assert done.returncode == 2
    assert "has no film of its training" in done.stderr
    assert "training.observers.film" in done.stderr
    assert not (tmp_path / "film.html").exists()
