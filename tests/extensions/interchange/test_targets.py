"""Export targets by name, also those of other packages."""

from collections.abc import Sequence
from pathlib import Path

from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.extensions.interchange.targets import ExportTarget
from nmt.translation.translator import Translator


class Card(ExportTarget):
    """A text file with the type of weights."""

    default_quantization = "int8"

    def write(self, translator: Translator, output: Path, quantization: str | None, lines: Sequence[str]) -> list[str]:
        output.write_text(str(quantization), "utf-8")
        return [f"wrote {output}", "and that is all"]


def test_a_target_has_a_default_type_of_weights(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    nmt.add_component("card", Card)
    for given, stored in ((), "int8"), (("--quantization", "float32"), "None"):
        run_nmt("export", tiny_model, "-o", tmp_path / "card.txt", "--to", "card", *given, check=True)
        assert (tmp_path / "card.txt").read_text("utf-8") == stored


def test_an_unknown_format_is_refused_with_the_nearest(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = run_nmt("export", tiny_model, "-o", tmp_path / "out", "--format", "argus")
    refused(done, "--to: there is no export target 'argus'", "argos")
    assert not (tmp_path / "out").exists()
