"""The package that docs/reference/extensions.md writes adds its commands and options to those of nmt."""

import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import nmt
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.weights import weights_of

ROOT = Path(__file__).parents[2]
WORDS = ["▁Der", "▁Hund", "▁schläft", "."]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip would install it, with the entry points of all blocks of the page."""
    page, folder = (ROOT / "docs/reference/extensions.md").read_text("utf-8"), tmp_path_factory.mktemp("installed")
    (folder / "my_package").mkdir()
    for name, text in re.findall(r"`(my_package/\w+\.py)`(?:,.*?)?:\n\n```python\n(.*?)```", page, re.DOTALL):
        (folder / name).write_text(text, "utf-8")
    declared = defaultdict(str)
    for group, rows in re.findall(r'^\[project\.entry-points\."(.*?)"\]\n(.*?)```', page, re.DOTALL | re.MULTILINE):
        declared[group] += rows.replace('"', "")
    metadata = folder / "my_package-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("".join(f"[{group}]\n{rows}" for group, rows in declared.items()))
    return folder


@pytest.mark.slow
@pytest.mark.extension("interchange")
def test_a_package_imports_models_and_adds_options_and_stages(python: Path, package: Path, tmp_path: Path) -> None:
    def run(*arguments: object, stdin: str = "") -> str:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, package)))}
        command = [python, "-m", "nmt", *map(str, arguments)]
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    words = WordVocabulary(WORDS)
    weights = weights_of(nmt.build(nmt.resolve("systems/gru"), nmt.Vocabularies(words, words)))
    (tmp_path / "words.txt").write_text("\n".join(WORDS), "utf-8")
    np.savez(tmp_path / "weights.npz", **{name: weight.numpy() for name, weight in weights.items()})

    run("import", "arrays", tmp_path, "-o", tmp_path / "model")
    assert f"{sum(weight.numel() for weight in weights.values()):,} weights" in run("count-weights", tmp_path / "model")
    lines, limit = "Der Hund schläft.\n1.5\n\n", ("--max-length", 3)
    plain = run("translate", tmp_path / "model", *limit, stdin=lines).split("\n")
    changed = run("translate", tmp_path / "model", *limit, "--copy-numbers", "--with-source", stdin=lines).split("\n")
    assert changed == [f"Der Hund schläft.\t{plain[0]}", "1.5\t1.5", "\t", ""]
