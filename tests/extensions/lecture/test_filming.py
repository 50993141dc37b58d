"""The film of a run: what a frame holds, and that recording it changes nothing else."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import RecipeMaker
from run_files import assert_same_run

import nmt
from nmt.core.errors import UserError
from nmt.decoding.forced import force_all
from nmt.training.run import train


def frames_of(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "film.jsonl").read_text("utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


@pytest.mark.quick("vanilla")
@pytest.mark.parametrize("system", ["bahdanau", "transformer", "vanilla"])
def test_a_frame_has_what_the_model_of_that_moment_gives(
    make_recipe: RecipeMaker, tiny_pairs: list[tuple[str, str]], tmp_path: Path, system: str
) -> None:
    options: dict[str, Any] = {"max_steps": 12, "validate_every": 12, "observers": {"film": {"sentences": 2}}}
    train(make_recipe(system, recipe={"data": {"valid": "train"}}, **options), tmp_path)
    [frame] = frames_of(tmp_path)
    assert (frame["event"], frame["step"]) == ("film", 12)
    translator = nmt.load(tmp_path, "cpu")
    heads = translator.model.decoder.alignment_heads if translator.has_attention else ()
    for sentence, (source, target) in zip(frame["sentences"], tiny_pairs[:2], strict=True):
        reference = sentence["reference"]
        assert (sentence["text"], reference["text"]) == (source, target)
        assert sentence["translation"]["text"] == translator(source).text
        ids = translator.encode_source(source), translator.encode_target(target)
        [forced] = force_all(translator.model, [ids], translator.vocabularies, 1, heads)
        assert reference["p"] == pytest.approx(forced.log_probability_T.exp().tolist(), abs=1e-4)
        assert len(reference["tokens"]) == len(reference["p"])
        if forced.weights_HTS is None:
            assert reference["attention"] is None
            continue
        packed = np.frombuffer(base64.b64decode(reference["attention"]), np.uint8)
        weights_TS = packed.reshape(len(reference["tokens"]), len(sentence["source"])) / 255
        np.testing.assert_allclose(weights_TS, forced.weights_HTS.detach().mean(0), atol=0.003)
        np.testing.assert_allclose(weights_TS.sum(1), 1, atol=0.03)
    mean_T = nmt.gradient_norms(translator, tiny_pairs, "tiny").mean_T
    assert frame["gradients"] == pytest.approx((mean_T / mean_T.sum()).tolist(), rel=1e-3)


def test_a_film_changes_nothing_and_a_resumed_run_continues_it(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    """The resumed run goes back before a validation that was filmed, and its film ends in the middle of a line."""
    options = {"dropout": 0.2, "validate_every": 3, "log_every": 1, "ema": 0.5, "metric": "bleu", "max_steps": 9}
    recipe = make_recipe(**options, observers={"film": {"sentences": 3}})
    train(recipe, tmp_path / "filmed")
    train(make_recipe(**options), tmp_path / "plain")
    shutil.copytree(tmp_path / "filmed", tmp_path / "resumed")
    shutil.rmtree(tmp_path / "resumed" / "checkpoints" / "step-000009")
    with (tmp_path / "resumed" / "film.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "film", "step": 2, "sen')
    train(recipe, tmp_path / "resumed", resume=True)
    for other in ("plain", "resumed"):
        assert_same_run(tmp_path / "filmed", tmp_path / other, 9, ("train", "valid"))
    assert not (tmp_path / "plain" / "film.jsonl").exists()
    assert [frame["step"] for frame in frames_of(tmp_path / "resumed")] == [3, 6, 9]
    assert frames_of(tmp_path / "resumed") == frames_of(tmp_path / "filmed")


def test_given_sentences_are_filmed_and_long_ones_passed_over(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    pairs = [("Hund " * 70, "the dog"), ("die Katze schläft", "the cat sleeps"), ("der Hund", "the dog " * 40)]
    files = {"source": tmp_path / "a", "target": tmp_path / "b"}
    for number, path in enumerate(files.values()):
        path.write_text("".join(f"{pair[number]}\n" for pair in pairs), encoding="utf-8")
    options: dict[str, Any] = {
        "max_steps": 1,
        "observers": {"film": {"pairs": {side: str(path) for side, path in files.items()}}},
    }
    train(make_recipe(**options), tmp_path / "run")
    [frame] = frames_of(tmp_path / "run")
    assert [sentence["text"] for sentence in frame["sentences"]] == ["die Katze schläft"]
    for path in files.values():
        path.write_text("Hund " * 70 + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="no sentence pair has at most 60 pieces"):
        train(make_recipe(**options), tmp_path / "other")


def test_other_sentences_in_the_middle_of_a_film_are_refused(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe(max_steps=1, observers={"film": {"sentences": 2}}), tmp_path)
    with pytest.raises(UserError, match=r"training\.observers\.film\.sentences is 3, was 2"):
        train(make_recipe(max_steps=2, observers={"film": {"sentences": 3}}), tmp_path, resume=True)
    train(make_recipe(max_steps=2), tmp_path, resume=True)  # but the film can end
