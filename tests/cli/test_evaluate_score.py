"""``nmt score`` as a user sees it."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import sacrebleu
from fixture_types import RunNmt
from refusals import refused

HYPOTHESES = ["The cat sat on the mat.", "A dog runs through green grass."]
REFERENCES = ["The cat sat on a mat.", "A dog is running through the green grass."]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    hypothesis, reference = tmp_path / "out.en", tmp_path / "test.en"
    hypothesis.write_text("\n".join(HYPOTHESES) + "\n")
    reference.write_text("\n".join(REFERENCES) + "\n")
    return hypothesis, reference


def test_text_shows_figures_and_signatures(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    done = run_nmt("score", *files, "--metrics", "chrf, bleu", check=True)
    chrf, _, bleu, signature = done.stdout.splitlines()
    assert chrf.startswith("chrF2 = ")
    assert bleu.startswith("BLEU = ")
    assert "tok:13a" in signature


@pytest.fixture
def two_systems(files: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """Two systems and two references."""
    other, paraphrase = tmp_path / "other.en", tmp_path / "paraphrase.en"
    other.write_text("The cat sat on a mat.\nA hound runs through the green grass.\n")
    paraphrase.write_text("A cat sat on the mat.\nA dog runs through green grass.\n")
    return files[0], other, files[1], paraphrase


@pytest.mark.parametrize("command", ["score", pytest.param("compare", marks=pytest.mark.extension("comparison"))])
def test_long_work_is_shown(run_nmt: RunNmt, two_systems: tuple[Path, Path, Path, Path], command: str) -> None:
    with patch("nmt.core.console.Progress") as progress:
        run_nmt(command, *two_systems[:2], "-r", two_systems[2], check=True)
    assert {"score": "scoring", "compare": "comparing"}[command] in str(progress.mock_calls)


def test_several_systems_and_references(run_nmt: RunNmt, two_systems: tuple[Path, Path, Path, Path]) -> None:
    first, second, *references = two_systems
    done = run_nmt("score", first, second, "-r", references[0], "-r", references[1], "--json")
    found = json.loads(done.stdout)
    assert list(found) == [str(first), str(second)]
    texts = [path.read_text().splitlines() for path in references]
    for path, scores in found.items():
        hypotheses = Path(path).read_text().splitlines()
        assert scores["bleu"]["score"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, texts).score, abs=1e-4)
        assert scores["ter"]["score"] == pytest.approx(sacrebleu.corpus_ter(hypotheses, texts).score, abs=1e-4)
        assert scores["chrf"]["signature"].startswith("nrefs:2|")


def test_a_table_of_systems_with_signatures_below(run_nmt: RunNmt, two_systems: tuple[Path, Path, Path, Path]) -> None:
    first, second, reference, _ = two_systems
    lines = run_nmt("score", first, second, "-r", reference, "--metrics", "bleu,ter").stdout.splitlines()
    assert lines[0].split(maxsplit=2) == ["system", "BLEU", "TER (less is better)"]
    bleu = [sacrebleu.corpus_bleu(p.read_text().splitlines(), [REFERENCES]).score for p in (first, second)]
    assert [line.split()[:2] for line in lines[1:3]] == [["out.en", f"{bleu[0]:.2f}"], ["other.en", f"{bleu[1]:.2f}"]]
    assert lines[3].startswith("BLEU: nrefs:1|case:mixed")
    assert lines[4].startswith("TER: nrefs:1|case:lc")


def test_degenerate_output_is_warned_of(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    files[0].write_text("The cat cat cat cat cat cat.\n\n")
    done = run_nmt("score", *files, check=True)
    assert "out.en: 2 of 2 translations (100.0%) look degenerate: 1 repeats itself (line 1)" in done.stderr
    assert "1 is empty (line 2)" in done.stderr


@pytest.mark.extension("comparison")
def test_a_number_of_resamples_asks_for_confidence_intervals(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    assert "±" not in run_nmt("score", *files, check=True).stdout
    assert "±" in run_nmt("score", *files, "--resamples", 50, check=True).stdout


def test_what_is_the_reference_must_be_clear(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    for arguments in ([files[0]], [*files, files[0]]):
        refused(run_nmt("score", *arguments), "which is the reference", "-r REFERENCE")
    assert run_nmt("score", files[0], "-r", files[1]).stdout == run_nmt("score", *files).stdout


def test_a_metric_without_a_signature_is_named_once(run_nmt: RunNmt, files: tuple[Path, Path]) -> None:
    hypothesis, reference = files
    one = run_nmt("score", *files, "--metrics", "accuracy,chrf", check=True).stdout.splitlines()
    assert [line.partition(" = ")[0] for line in one[:2]] == ["accuracy", "chrF2"]
    two = run_nmt("score", hypothesis, reference, "-r", reference, "--metrics", "accuracy", check=True).stdout
    assert "accuracy:" not in two
