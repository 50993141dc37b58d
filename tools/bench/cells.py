"""Training speed of every cell over whole sequences, beside PyTorch's own LSTM, in turns, as a table in Markdown.

    python tools/bench/cells.py --hidden-size 512 --precision bf16

Each measurement is a layer's forward and backward pass over the same batch, as in an encoder: the cells that PyTorch
has run in its kernels, the others in the time loop of nmt/models/networks/recurrence.py. The last column says how many
times as long as the LSTM a cell takes.
"""

import argparse
import time
from collections.abc import Callable

import torch
from turns import in_turns, table

from nmt.core.device import autocast, pick_device
from nmt.models.cells import CELLS
from nmt.models.networks.recurrence import Recurrence, StackOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), metavar="CELL", default=list(CELLS))
    parser.add_argument("--hidden-size", type=int, default=256, metavar="N", help="also the width of the input (256)")
    parser.add_argument("--batch", type=int, default=128, metavar="N", help="sentences (128)")
    parser.add_argument("--length", type=int, default=16, metavar="N", help="words of a sentence (16)")
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=10, metavar="N", help="passes a turn (10)")
    parser.add_argument("--turns", type=int, default=5, metavar="N")
    options = parser.parse_args()
    measures = {cell: training_speed(cell, options) for cell in dict.fromkeys(["lstm", *options.cells])}
    print(table(in_turns(measures, options.turns), "lstm", "words/s"))


def training_speed(cell: str, options: argparse.Namespace) -> Callable[[], float]:
    """What measures a cell: words per second of its forward and backward pass, warmed up."""
    device, size = pick_device(options.device), options.hidden_size
    torch.manual_seed(0)
    stack = StackOptions.model_validate({"cell": cell, "hidden_size": size})
    layer = Recurrence(stack, size, options.bidirectional).to(device)
    x_BTD = torch.randn(options.batch, options.length, size, device=device, requires_grad=True)

    def step() -> None:
        with autocast(device, options.precision):
            outputs_BTD, _ = layer(x_BTD)
        outputs_BTD.float().square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(options.repeat):
            step()
        return options.repeat * options.batch * options.length / (time.perf_counter() - started)

    step()
    return measure


if __name__ == "__main__":
    main()
