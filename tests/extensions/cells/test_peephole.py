"""The first values of the depth-gated LSTM."""

import torch

from nmt.models.networks.recurrence import CellStack, StackOptions


def test_the_cells_of_a_new_depth_gated_stack_do_not_grow_from_layer_to_layer() -> None:
    torch.manual_seed(0)
    options = StackOptions.model_validate({"cell": "depth_gated", "hidden_size": 64, "num_layers": 3})
    cells = CellStack(options, [64])
    hidden = cell = torch.zeros(8, 3, 64)
    with torch.no_grad():
        for _ in range(40):
            hidden, cell = cells(cells.project(torch.randn(8, 64)), (hidden, cell))
    low, middle, high = cell.square().mean(dim=(0, 2)).sqrt().tolist()
    assert 0.05 < high < middle < low
