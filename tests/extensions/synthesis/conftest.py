"""Text to translate."""

from pathlib import Path

import pytest

from nmt.quickstart.embedded_corpus import splits

MODEL = Path(__file__).resolve().parents[2] / "golden" / "models" / "transformer"
"""From English to German."""
NUM_LINES = 60


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mono.en, 60 lines of which the seventh is empty, and their translation mono.de."""
    folder = tmp_path_factory.mktemp("mono")
    pairs = splits(train=NUM_LINES)["train"]
    for language, texts in (("en", [pair.source for pair in pairs]), ("de", [pair.target for pair in pairs])):
        texts[6] = ""
        (folder / f"mono.{language}").write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return folder


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
