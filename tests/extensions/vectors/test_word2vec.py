"""Word vectors that are learned from text files, and the commands that write and show them."""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.core.errors import UserError
from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.vectors.embeddings import read_all_vectors, read_vectors
from nmt.extensions.vectors.word2vec import Word2VecOptions, learn_vectors
from nmt.extensions.vectors.words import WordVectors, draw_words


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Hund and Katze have the same neighbours, rot and blau others."""
    rng = np.random.default_rng(1)
    groups = (["Hund", "Katze"], ["frisst", "schläft", "bellt"]), (["rot", "blau"], ["Farbe", "Wand", "hell"])
    lines = []
    for _ in range(600):
        names, around = groups[rng.integers(2)]
        lines.append(f"{rng.choice(around)} {rng.choice(names)} {rng.choice(around)}.\n")
    path = tmp_path / "text.de"
    path.write_text("".join(lines) + "einmalig\n", encoding="utf-8")
    return path


@pytest.mark.quick("cbow")
@pytest.mark.parametrize("model", ["skip-gram", "cbow"])
def test_words_with_the_same_neighbours_get_similar_vectors_that_recipes_read(
    text: Path, tmp_path: Path, model: str
) -> None:
    pytest.importorskip("gensim", reason="the extra vectors is not installed")
    path = tmp_path / "vectors.gz"
    options = Word2VecOptions.model_validate({"model": model, "size": 8, "window": 2, "epochs": 15})
    assert learn_vectors([text], path, options) == 11  # ten words and the full stop; not the one that occurs once
    ids, vectors, _ = read_vectors(path, WordVocabulary(["▁Hund", "▁Katze", "▁rot", "▁einmalig"]), 8)
    assert ids.tolist() == [4, 5, 6]
    dog, cat, red = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert dog @ cat > dog @ red + 0.2
    again = tmp_path / "again.txt"
    learn_vectors([text], again, options)
    np.testing.assert_array_equal(read_all_vectors(again)[1], read_all_vectors(path)[1])


def test_learning_needs_gensim_and_frequent_words(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gensim", reason="the extra vectors is not installed")
    with pytest.raises(UserError, match="no word occurs 1000 times"):
        learn_vectors([text], tmp_path / "v", Word2VecOptions(min_count=1000))
    with pytest.raises(UserError, match="its text is read repeatedly"):  # its words had vectors at random
        learn_vectors([Path("-")], tmp_path / "v", Word2VecOptions())
    with pytest.raises(UserError, match="it is an input, which would be lost"):
        learn_vectors([text], text, Word2VecOptions())
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(UserError, match=r'pip install "nmt\[vectors\]"'):
        learn_vectors([text], tmp_path / "v", Word2VecOptions())
    assert not (tmp_path / "v").exists()


NAMED = {"king": [3, 0, 1], "queen": [3, 2, 1], "man": [1, 0, 0.2], "woman": [1, 2, 0.2], "prince": [2, 0, 1.5]}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, v))}\n" for word, v in NAMED.items()), encoding="utf-8")
    return path


def test_neighbours_and_analogies_are_those_of_the_cosine(vectors: Path) -> None:
    words = WordVectors.of(*read_all_vectors(vectors))
    unit = {word: np.array(v) / np.linalg.norm(v) for word, v in NAMED.items()}
    (first, cosine), *_ = words.neighbours("king", 2)
    assert first == max(NAMED.keys() - {"king"}, key=lambda word: float(unit[word] @ unit["king"]))
    assert cosine == pytest.approx(unit["king"] @ unit[first], abs=1e-6)
    query = unit["woman"] - unit["man"] + unit["king"]
    (best, cosine), (second, _) = words.analogy("man", "woman", "king", 2)
    assert (best, second) == ("queen", "prince")
    assert cosine == pytest.approx(query @ unit["queen"] / np.linalg.norm(query), abs=1e-6)


def test_vectors_are_in_a_file() -> None:
    """Of a pipe, it said that it had none."""
    with pytest.raises(UserError, match="is read repeatedly"):
        read_all_vectors(Path("-"))


def test_a_map_keeps_the_distances_of_vectors_in_a_plane() -> None:
    flat = WordVectors.of(["a", "b", "c", "d"], np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -2, 0]], np.float32))
    points = np.asarray(draw_words(flat, flat.words).axes[0].collections[0].get_offsets())
    distances = np.linalg.norm(flat.unit_WD[:, None] - flat.unit_WD, axis=2)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=2), distances, atol=1e-6)


def test_labels_of_a_map_cover_no_points_and_no_other_labels() -> None:
    """Those of words near each other, and at the right edge, were written over each other."""
    turn_W = np.linspace(0, 2 * np.pi, 8, endpoint=False).repeat(2) + np.tile([0, 0.03], 8)
    near = WordVectors.of([f"word {n}" for n in range(16)], np.stack([np.cos(turn_W), np.sin(turn_W)], axis=1))
    figure = draw_words(near, near.words)
    figure.draw_without_rendering()
    [axes] = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    points = axes.transData.transform(axes.collections[0].get_offsets())
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert not any(box.contains(*point) for box in boxes for point in points)
    assert all(axes.bbox.xmin <= box.xmin and box.xmax <= axes.bbox.xmax for box in boxes)


def test_words_of_a_model_and_of_a_file_are_shown(
    run_nmt: RunNmt, tiny_model: Path, vectors: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "words.svg"
    shown = ("inspect", "words", vectors, "king", "--analogy", "man,woman,king", "-o", picture)
    assert run_nmt(*shown, "--count", 1).returncode == 2  # two words make no map
    done = run_nmt(*shown, "--count", 2, check=True)
    assert "woman - man + king" in done.stdout
    assert ">prince<" in picture.read_text("utf-8")
    found = json.loads(run_nmt("inspect", "words", tiny_model, "the", "--side", "target", "--json").stdout)
    assert len(found["words"]["the"]) == 5
    (tmp_path / "text").write_text("text\n", encoding="utf-8")
    wrong = {
        "Did you mean 'king'?": [vectors, "kin"],
        "Name words": [vectors],
        "is not three words": [vectors, "--analogy", "a,b"],
        "none": [tmp_path / "none", "a"],
        "has no word vectors": [tmp_path / "text", "a"],
    }
    for message, arguments in wrong.items():
        refused(run_nmt("inspect", "words", *arguments), message)
