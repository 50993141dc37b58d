"""Components are known by kind and name."""

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.models.cells import CELLS
from nmt.models.cells.gated import GruCell
from nmt.recipe import registry
from nmt.training.optim.schedules import SCHEDULES, Constant


@pytest.fixture(autouse=True)
def _own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", list(registry._added))


def test_a_cell_and_a_schedule_may_have_the_same_name() -> None:
    @nmt.register("cell", "linear")
    class LinearCell(GruCell): ...

    @nmt.register("schedule", "linear")
    class LinearSchedule(Constant): ...

    assert CELLS["linear"] is LinearCell
    assert SCHEDULES["linear"] is LinearSchedule


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    for _ in range(2):

        @nmt.register("cell", "again")
        class Again(GruCell): ...

    assert CELLS["again"] is Again


def test_a_component_must_be_of_its_kind() -> None:
    nmt.register("cell", "wrong")(Constant)
    with pytest.raises(UserError, match=r"The cell 'wrong' of the plugin .* is not derived from nmt.models.cells.base"):
        list(CELLS)


def test_kinds_are_listed() -> None:
    assert {"cell", "schedule"} <= set(nmt.kinds())
