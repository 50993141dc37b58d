"""A translator, and text of which a part is unlike that of training."""

from pathlib import Path

import pytest

from nmt.translation.load import load
from nmt.translation.translator import Translator


@pytest.fixture(scope="module")
def translator(tiny_model: Path) -> Translator:
    return load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def mixed_text(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The training text, and once more with the words of the sources in reverse order."""
    source, target = ((tiny_corpus / f"train.{side}").read_text("utf-8").splitlines() for side in ("de", "en"))
    odd = [" ".join(reversed(line.split())) for line in source]
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "x.de").write_text("\n".join(source + odd) + "\n", "utf-8")
    (folder / "x.en").write_text("\n".join(target + target) + "\n", "utf-8")
    return folder / "x.de", folder / "x.en"
