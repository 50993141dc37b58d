"""Components are known by kind and name."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.models.cells import CELLS
from nmt.models.cells.standard import GruCell
from nmt.recipe import registry
from nmt.recipe.registry import KINDS
from nmt.training.optimization import SCHEDULES, Constant


def test_a_cell_and_a_schedule_may_have_the_same_name() -> None:
    @nmt.register("cell", "linear")
    class LinearCell(GruCell): ...

    @nmt.register("schedule", "linear")
    class LinearSchedule(Constant): ...

    assert CELLS["linear"] is LinearCell
    assert SCHEDULES["linear"] is LinearSchedule


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    for _ in range(2):

        class Base(GruCell): ...  # of the same cell of a notebook

        @nmt.register("cell", "again")
        class Again(Base): ...

    assert CELLS["again"] is Again


def test_a_component_must_be_of_its_kind() -> None:
    nmt.register("cell", "wrong")(Constant)
    with pytest.raises(UserError, match=r"The cell 'wrong' of the plugin .* is not derived from nmt.models.cells.base"):
        list(CELLS)


def test_a_component_of_another_kind_is_explained() -> None:
    nmt.add_component("schedule only", Constant)
    with pytest.raises(UserError, match="there is no cell 'schedule only'") as refused:
        CELLS.choose("schedule only", "model.encoder.cell")
    assert refused.value.remedy.endswith(" is not derived from nmt.models.cells.base.Cell.")


def test_kinds_are_those_of_all_tables(repo_root: Path) -> None:
    package, extensions = repo_root / "nmt", repo_root / "nmt" / "extensions"
    texts = [path.read_text("utf-8") for path in package.rglob("*.py") if extensions not in path.parents]
    found = [kind for text in texts for kind in re.findall(r'^\w+: Table\[\w+\] = Table\(\s*"([a-z ]+)"', text, re.M)]
    assert sorted(found) == sorted(KINDS)
    assert set(KINDS) <= set(nmt.kinds()), "also those whose tables are not imported"


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match=r"There is no kind of component 'metrics'.*\nDid you mean 'metric'\?$"):
        nmt.register("metrics", "mine")(GruCell)


def test_a_hook_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("mine", "no_such_module:function", "nmt.hooks.training_ended")
    monkeypatch.setattr(registry, "entry_points_in", lambda group: [broken])
    with pytest.raises(UserError, match=r"no_such_module:function, which is attached to .*ModuleNotFoundError"):
        registry.hooks("training_ended")
    with pytest.raises(UserError, match="no_such_module:function"):
        registry.provided("mine", "an option")


@pytest.mark.slow
def test_a_plugin_installed_for_one_kind_may_be_required(tmp_path: Path) -> None:
    """A model directory is checked before the table of that kind is used."""
    code = "from nmt.models.cells.standard import GruCell\n\n\nclass Mine(GruCell): ...\n"
    (tmp_path / "one_kind.py").write_text(code, encoding="utf-8")
    installed = tmp_path / "one_kind-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: one-kind\nVersion: 1\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[nmt.components.cell]\nmine = one_kind:Mine\n", encoding="utf-8")
    check = "from nmt.recipe.registry import check_plugins; check_plugins({'one_kind': 'one-kind'}, 'the model')"
    program = f"import sys; sys.path.append({str(tmp_path)!r}); {check}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
