"""What the tests share: where things are, a corpus small enough to learn by heart, a cache of their own."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

SUBJECTS = [
    ("der Hund", "the dog"),
    ("die Katze", "the cat"),
    ("das Kind", "the child"),
    ("der müde Bäcker", "the tired baker"),
    ("die Nachbarin", "the neighbour"),
    ("mein Bruder", "my brother"),
]
PREDICATES = [
    ("schläft", "im Garten", "sleeps in the garden"),
    ("sieht", "den Mond", "sees the moon"),
    ("trinkt", "kaltes Wasser", "drinks cold water"),
    ("hört", "ein altes Lied", "hears an old song"),
    ("läuft", "über die Brücke", "runs across the bridge"),
    ("wartet", "auf den Zug", "waits for the train"),
    ("kommt", "um sieben Uhr nach Hause", "comes home at seven o'clock"),
    ("spielt", "mit dem Ball", "plays with the ball"),
]
# One of each predicate, so that every word of the unseen pairs is in the seen ones too.
HELD_OUT = {1, 6, 12, 19, 23, 26, 37, 40}


def _sentence_pairs() -> list[tuple[str, str]]:
    """All 48 combinations; in every other one German puts the verb before the subject."""
    pairs = []
    for (i, subject), (j, predicate) in itertools.product(enumerate(SUBJECTS), enumerate(PREDICATES)):
        verb, rest, english = predicate
        if (i + j) % 2:
            pair = f"heute {verb} {subject[0]} {rest}.", f"today {subject[1]} {english}."
        else:
            pair = f"{subject[0]} {verb} {rest}.", f"{subject[1]} {english}."
        pairs.append((pair[0][0].upper() + pair[0][1:], pair[1][0].upper() + pair[1][1:]))
    return pairs


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repo_root: Path) -> Path:
    """The folder of real corpora beside the repository; tests that need it are skipped without it."""
    folder = repo_root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the corpora in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.{de,en} (40 pairs) and val.{de,en} (8 unseen pairs of the same words)."""
    folder = tmp_path_factory.mktemp("tiny_corpus")
    pairs = _sentence_pairs()
    splits = {
        "train": [pair for number, pair in enumerate(pairs) if number not in HELD_OUT],
        "val": [pair for number, pair in enumerate(pairs) if number in HELD_OUT],
    }
    for split, chosen in splits.items():
        for side, language in enumerate(("de", "en")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8", newline="\n")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded corpora go to a folder of this session, never to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NMT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
