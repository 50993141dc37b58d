"""``nmt inspect run`` as a user sees it."""

import json
from pathlib import Path

from fixture_types import RunNmt
from run_files import read_metrics


def test_the_table_has_a_column_a_run(run_nmt: RunNmt, tiny_model: Path, vanilla_model: Path) -> None:
    done = run_nmt("inspect", "run", tiny_model, vanilla_model, check=True)
    [updates] = [line for line in done.stdout.splitlines() if line.startswith("updates")]
    assert updates.split() == ["updates", "200", "1"]
    assert "epochs, whole" in done.stdout
    assert "max_steps (200)" in done.stdout
    assert done.stderr == ""


def test_json_holds_the_figures_and_curves_go_to_a_file(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = run_nmt("inspect", "run", tiny_model, "--json", "-o", tmp_path / "curves.png", "--x", "minutes", check=True)
    [run] = json.loads(done.stdout)["runs"]
    assert run["bleu"] == max(line["bleu"] for line in read_metrics(tiny_model, "valid"))
    assert run["updates"] == 200
    assert "learns the tiny corpus by heart" in run["description"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_metric_that_the_curves_lack_is_warned_of(run_nmt: RunNmt, own_model: Path, tiny_model: Path) -> None:
    (log := own_model / "metrics.jsonl").write_text(log.read_text("utf-8").replace('"bleu"', '"chrf"'), "utf-8")
    done = run_nmt("inspect", "run", tiny_model, own_model, "-o", own_model / "curves.png", check=True)
    assert "Warning: the curves show bleu, which not all of these runs have; the table has chrf" in done.stderr
    assert "Warning" not in run_nmt("inspect", "run", tiny_model, "-o", own_model / "curves.png", check=True).stderr
