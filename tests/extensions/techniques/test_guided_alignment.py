"""Guided alignment: the loss against a plain computation, links that stay with their lines, and a head that learns."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import RecipeMaker
from run_files import read_metrics

import nmt
from nmt.alignment.heads import AlignmentHeads
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.data.batch import make_batch
from nmt.data.batching import TrainingBatches
from nmt.data.buffers import ShuffleBuffers
from nmt.data.cache import encode_corpus
from nmt.data.sources import FileText, GivenText
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.techniques.guided_alignment import (
    GuidedAlignment,
    LinkFile,
    alignment_loss,
    links_mask,
    taught_heads,
)
from nmt.models.build import build
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import DataOptions
from nmt.translation.load import load


@pytest.mark.parametrize("attention", ["output", "input"])
@pytest.mark.parametrize("system", ["luong", "transformer"])
def test_the_loss_of_a_batch_is_that_of_the_decoders_steps(
    system: str, attention: str, make_recipe: RecipeMaker, tmp_path: Path, vocabularies: Vocabularies
) -> None:
    """Step t reads target word t - 1 and predicts word t; those without a link are linked to EOS."""
    torch.manual_seed(2)
    (tmp_path / "links").touch()
    options = GuidedAlignment.Options(links=tmp_path / "links", weight=0.5, attention=attention)  # type: ignore[arg-type]
    recipe = make_recipe(system, max_steps=1)
    model = build(recipe.model, vocabularies).eval()
    technique = GuidedAlignment(options, recipe)
    technique.setup_model(model)
    links = {"links": [np.array([[1, 0], [2, 0], [0, 1]]), np.zeros((0, 2), np.int64)]}
    batch = make_batch([([5, 6, 7], [8, 9, 10]), ([5], [6])], vocabularies, links)
    output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    state = model.start(batch.source_BS, batch.source_length_B)
    (head,) = technique._heads.heads
    expected = 0.0
    linked = [[[1, 2], [0], [3], [3]], [[1], [1]]]  # of each target word and of EOS; 3 and 1 are EOS of the sources
    for step, token_B in enumerate(batch.target_input_BT.unbind(1)):
        found = model.step(token_B, state, need_weights=True)
        state = found.state
        word = step if attention == "output" else step - 1
        for row in range(2):
            if 0 <= word < len(linked[row]) and step < batch.target_input_BT.shape[1]:
                expected -= found.weights_NHS[row, head, linked[row][word]].log().mean().item()
    [loss] = technique.extra_losses(batch, output, torch.zeros(())).values()
    assert loss.item() == pytest.approx(0.5 * expected, rel=1e-4)


def test_attention_of_nothing_gives_a_finite_loss_and_gradient() -> None:
    weights_BHTS = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = alignment_loss(weights_BHTS, torch.ones(1, 2, 2, dtype=torch.bool), AlignmentHeads((0,), "output"))
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(weights_BHTS.grad.isfinite().all())


@pytest.fixture
def vocabularies(tiny_model: Path) -> Vocabularies:
    return Vocabularies.load(tiny_model)


@pytest.fixture
def text(tmp_path: Path) -> FileText:
    """Four pairs, of which the second is empty and the third too long for the tests."""
    sides = {
        "de": ["der Hund schläft.", "", "der Hund und die Katze und das Kind", "das Kind wartet"],
        "en": ["the dog sleeps.", "the", "the dog and the cat and the child", "the child waits"],
    }
    for side, lines in sides.items():
        (tmp_path / f"text.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return FileText(tmp_path / "text.de", tmp_path / "text.en")


def link_file(tmp_path: Path, text: str, vocabularies: Vocabularies, split: bool = False) -> LinkFile:
    path = tmp_path / "links"
    path.write_text(text, encoding="utf-8")
    return LinkFile(path, split, DataOptions(source="de", target="en"), vocabularies)


def test_links_stay_with_their_lines_when_pairs_are_dropped(
    tmp_path: Path, text: FileText, vocabularies: Vocabularies
) -> None:
    links = link_file(tmp_path, "0-0 2-2\n\n0-0 6-6\n2-1 1?2\n", vocabularies)
    corpus = encode_corpus(text, vocabularies, max_length=5, annotations=[links])
    assert corpus.lines.tolist() == [0, 3]
    # "schläft." is one word between spaces, but two pieces of a word vocabulary.
    assert corpus.annotations["links"][0].tolist() == [[0, 0], [2, 2], [2, 3], [3, 2], [3, 3]]
    assert corpus.annotations["links"][1].tolist() == [[1, 2], [2, 1]]
    changed = link_file(tmp_path, "0-0 2-2\n\n0-0 6-6\n0-0\n", vocabularies)
    again = encode_corpus(text, vocabularies, 5, annotations=[changed])
    assert again.annotations["links"][1].tolist() == [[0, 0]], "the cache knows the links"
    assert not encode_corpus(text, vocabularies, 5).annotations


def test_punctuation_marks_are_words_where_links_count_them(
    tmp_path: Path, text: FileText, vocabularies: Vocabularies
) -> None:
    links = link_file(tmp_path, "3-3\n\n\n\n", vocabularies, split=True)
    assert encode_corpus(text, vocabularies, 5, annotations=[links]).annotations["links"][0].tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0-0\n\n0-0\n", "fewer lines than the training text has pairs: line 4 is the first that is missing"),
        ("0-0\n\n\n\n0-0\n", "more lines than the training text has pairs: line 5 is the first too many"),
        ("0-0\n\n\n3-0\n", r"line 4: the link 3-0 is outside 3 source and 3 target words"),
        ("0-0\n\nx\n\n", r"line 3: 'x' is not a link"),
    ],
)
def test_links_that_do_not_fit_the_text_are_refused(
    tmp_path: Path, text: FileText, vocabularies: Vocabularies, lines: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        encode_corpus(text, vocabularies, 150, annotations=[link_file(tmp_path, lines, vocabularies)])


def test_links_are_read_beside_the_text_that_a_recipe_names(
    make_recipe: RecipeMaker, tmp_path: Path, vocabularies: Vocabularies
) -> None:
    (tmp_path / "some.links").write_text("0-0\n")
    recipe, options = load_recipe(make_recipe("luong", max_steps=1), {"data.root": tmp_path}), GuidedAlignment.Options
    file = GuidedAlignment(options(links=Path("some.links")), recipe).annotations(vocabularies)
    assert file is not None
    assert len(list(file.of_pairs(GivenText([("a", "b")], "one")))) == 1
    with pytest.raises(UserError, match=r"There is no file other\.links"):
        GuidedAlignment(options(links=Path("other.links")), recipe)


def test_training_batches_have_the_links_of_their_pairs(
    tmp_path: Path, text: FileText, vocabularies: Vocabularies
) -> None:
    links = link_file(tmp_path, "1-1\n\n1-1\n2-2\n", vocabularies)
    corpus = encode_corpus(text, vocabularies, max_length=5, annotations=[links])
    others = np.delete(np.arange(len(corpus)), 1)
    batch = next(iter(TrainingBatches(corpus, vocabularies, 100, seed=1, buffers=ShuffleBuffers(len(corpus), others))))
    assert links_mask(batch)[0, :, :3].nonzero().tolist() == [[2, 2]]


@pytest.mark.slow
def test_a_run_that_is_taught_later_keeps_a_taught_model(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path
) -> None:
    """alignment.json names the taught head, so model.safetensors may not remain the best from before."""
    (tmp_path / "links").write_text("0-0\n" * len((tiny_corpus / "train.de").read_text("utf-8").splitlines()))
    recipe = make_recipe("luong", max_steps=30, metric="loss")
    run = nmt.train(recipe, tmp_path / "run")
    before = (run / "model.safetensors").read_bytes()
    guided = {"links": str(tmp_path / "links"), "split_punctuation": True}
    spoiled = {"training.techniques.guided_alignment": guided, "training.max_steps": 33, "training.learning_rate": 0.5}
    nmt.train(recipe, run, overrides=spoiled, resume=True)
    first, *_, last = read_metrics(run, "valid")
    assert last["loss"] > first["loss"]
    assert last["best"]
    assert (run / "model.safetensors").read_bytes() != before
    # Taught before and after, the best is the best of both.
    taught = (run / "model.safetensors").read_bytes()
    again = {**spoiled, "training.max_steps": 36, "training.learning_rate": 5}
    nmt.train(recipe, run, overrides=again, resume=True)
    assert not read_metrics(run, "valid")[-1]["best"]
    assert (run / "model.safetensors").read_bytes() == taught


def test_what_can_not_be_taught_is_refused(make_recipe: RecipeMaker, tmp_path: Path, tiny_corpus: Path) -> None:
    path = tmp_path / "links"
    path.write_text("\n" * sum(1 for _ in read_lines(tiny_corpus / "train.de")))
    for system, settings, message in (
        ("vanilla", {"links": str(path)}, "guided_alignment needs attention"),
        ("transformer", {"links": str(path), "head": "7:1"}, "no attention head '7:1'"),
        ("luong", {"links": str(tmp_path / "none")}, "There is no file .*none with word links"),
    ):
        recipe = make_recipe(system, max_steps=1)
        with pytest.raises(UserError, match=message):
            nmt.train(recipe, tmp_path / system, overrides={"training.techniques.guided_alignment": settings})


def test_the_recipe_chooses_head_and_step(tiny_model: Path) -> None:
    decoder = load(tiny_model, "cpu").model.decoder
    assert taught_heads(GuidedAlignment.Options(links=Path("x")), decoder) == AlignmentHeads((0,), "output")
    read = taught_heads(GuidedAlignment.Options(links=Path("x"), attention="input"), decoder)
    assert read == AlignmentHeads((0,), "input")
