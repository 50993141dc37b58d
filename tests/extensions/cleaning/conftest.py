"""What the tests of cleaning share: sound pairs, and files of pairs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.quickstart.embedded_corpus import splits

Pairs = list[tuple[str, str]]
Write = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def sound() -> Pairs:
    """1,300 different English-German sentence pairs."""
    return [(pair.source, pair.target) for pair in splits(train=1300)["train"]]


@pytest.fixture
def pairs(sound: Pairs) -> Pairs:
    """The same, to be spoilt."""
    return list(sound)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(pairs, "name")`` writes to name.en and name.de."""

    def to_files(pairs: Pairs, name: str = "train") -> list[Path]:
        paths = [tmp_path / f"{name}.{side}" for side in ("en", "de")]
        for index, path in enumerate(paths):
            path.write_bytes("".join(f"{pair[index]}\n" for pair in pairs).encode("utf-8", "surrogateescape"))
        return paths

    return to_files
