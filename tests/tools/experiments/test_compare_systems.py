"""The table of every system: who is in it, on what terms, and that nothing is done twice or lost."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import nmt
from nmt.core.text import read_lines
from nmt.evaluation.scores import score_corpus
from nmt.plotting.history import read_history
from nmt.recipe.load import load_recipe, parse_settings

TINY = (
    "device=cpu",
    "training.precision=fp32",
    "training.max_steps=3",
    "vocabulary.type=word",
    "model.embedding_size=16",
    "model.encoder.hidden_size=16",
    "model.decoder.hidden_size=16",
)


@pytest.fixture(scope="module")
def compare_systems(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("experiments/compare_systems")


@pytest.fixture
def run(compare_systems: ModuleType, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The tool on the tiny corpus, whose validation split stands in for a test split."""
    settings = [argument for setting in TINY for argument in ("--set", setting)]

    def run(*arguments: object) -> None:
        given = [tiny_corpus, "--test", "val", *settings, *arguments]
        monkeypatch.setattr(sys, "argv", ["compare_systems.py", *map(str, given)])
        compare_systems.main()

    return run


def test_every_recipe_of_the_folder_is_a_system_on_equal_terms(compare_systems: ModuleType, repo_root: Path) -> None:
    systems = compare_systems.all_systems()
    folder = {path.stem for path in (repo_root / "recipes" / "systems").glob("*.yaml")}
    assert set(systems) == {"vanilla", "bahdanau", "luong", "transformer_256"} | folder
    minutes = "training.max_minutes=10"
    recipes = {
        name: load_recipe(recipe, parse_settings([*compare_systems.TERMS, minutes])) for name, recipe in systems.items()
    }
    first = recipes["vanilla"]
    for name, recipe in recipes.items():
        for part in ("data", "vocabulary", "decoding", "seed"):
            assert getattr(recipe, part) == getattr(first, part), name
        own = {"learning_rate": first.training.learning_rate}
        assert recipe.training.model_copy(update=own) == first.training, name
        assert recipe.model.embedding_size == 256, name
        # As wide as annotations of both directions together; the table says so.
        wide = name in {"vanilla", "bahdanau", "luong", "dot", "scaled_dot"}
        assert recipe.model.decoder.get("hidden_size", 256) == (512 if wide else 256), name
    assert first.training.schedule["type"] != "cosine"  # it would need to know how many updates the minutes will be


@pytest.mark.slow
def test_shares_make_a_whole_and_a_last_call_the_table(
    run: Callable[..., None],
    tiny_corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = tmp_path / "runs"
    run(runs, "vanilla", "gru", "--share", "2/2")
    half = capsys.readouterr().out
    assert "| `systems/gru` |" in half
    assert "| `multi30k/vanilla` |" not in half
    assert "Not done yet: vanilla, bahdanau," in half
    run(runs, "vanilla", "gru", "--share", "1/2")
    monkeypatch.setattr(nmt, "train", None)  # all is trained
    capsys.readouterr()
    run(runs, "vanilla", "gru")
    text = capsys.readouterr().out
    assert text == (runs / "table.md").read_text("utf-8")
    assert "Not done yet: bahdanau, luong, transformer_256," in text

    references = list(read_lines(tiny_corpus / "val.en"))
    found = json.loads((runs / "table.json").read_text("utf-8"))
    for name, recipe in (("vanilla", "multi30k/vanilla"), ("gru", "systems/gru")):
        row = found["systems"][name]
        scores = score_corpus(list(read_lines(runs / name / "val.en")), [references])
        assert row["scores"] == {key: score.to_json() for key, score in scores.items()}
        model = nmt.load(runs / name, "cpu").model
        assert row["parameters"] == model.num_parameters
        assert (row["updates"], row["width"]) == (3, 16)
        assert row["tokens_per_second"] == read_history(runs / name).summary()["tokens_per_second"]
        cells = next(line for line in text.splitlines() if line.startswith(f"| `{recipe}` |")).split(" | ")
        assert cells[1:4] == [f"{scores['bleu'].score:.2f}", f"{scores['chrf'].score:.2f}", f"{row['parameters']:,}"]
        assert f"`{scores['bleu'].signature}`" in text
    assert list(found["systems"]) == sorted(
        found["systems"], key=lambda n: -found["systems"][n]["scores"]["bleu"]["score"]
    )
    assert sum(length["sentences"] for length in found["lengths"]) == len(references)
    vocabularies = {(runs / name / "vocabulary.txt").read_bytes() for name in ("vanilla", "gru")}
    assert vocabularies == {(runs / "vocabulary" / "vocabulary.txt").read_bytes()}
    assert (runs / "lengths.png").read_bytes().startswith(b"\x89PNG")
