"""Training speed by precision: target tokens a second, and the share of the device's peak that they are.

    python tools/bench/train_gpu.py                                    a recurrent and a Transformer recipe on the GPU
    python tools/bench/train_gpu.py --recipe my.yaml --set data.root=FOLDER --set training.batch_tokens=25000
    python tools/bench/train_gpu.py --device cpu --tiny                does it run at all?

Without ``--set data.root`` the sentences are made up: words of a Zipf distribution, lengths like those of captions.
The peak is measured, too: the rate of one large square matrix product in the same precision. The work of a model is
counted as 6 operations for each weight of a matrix and each position that passes it (2 forward, 4 backward): what
attention adds is left out, so the share is a little too low.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nmt.core.device import Precision, autocast, pick_device
from nmt.data.batching import Batch
from nmt.models.build import build_model
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.load import load_recipe, parse_settings
from nmt.recipe.schema import Recipe
from nmt.training.data import prepare_data
from nmt.training.objective import Objective
from nmt.training.resolve import resolve
from nmt.training.trainer import Trainer

RECIPES = ("bench/transformer_256", "bench/bahdanau_256")
TINY = (
    "model.embedding_size=32",
    "training.batch_tokens=256",
    "vocabulary.size=200",
)
NUM_PAIRS = 20_000


@dataclass(frozen=True)
class Mode:
    """A way to compute."""

    precision: Precision
    tf32: bool = False
    compiled: bool = False


MODES = {
    "fp32": Mode("fp32"),
    "tf32": Mode("fp32", tf32=True),
    "bf16": Mode("bf16"),
    "fp16": Mode("fp16"),
    "compiled": Mode("bf16", tf32=True, compiled=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", help="may be repeated; bench/transformer_256 and bahdanau_256")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--modes", default=",".join(MODES), help=f"some of {','.join(MODES)}")
    parser.add_argument("--warmup", type=int, default=20, help="updates before the clock starts")
    parser.add_argument("--updates", type=int, default=60, help="updates that are timed")
    parser.add_argument("--tiny", action="store_true", help="small sizes and few updates, to see that it runs")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    options = parser.parse_args()
    if unknown := set(options.modes.split(",")) - MODES.keys():
        parser.error(f"--modes: there is no {', '.join(sorted(unknown))}; known: {', '.join(MODES)}")
    device = pick_device(options.device)
    warmup, updates = (2, 3) if options.tiny else (options.warmup, options.updates)
    settings = [*(TINY if options.tiny else ()), *options.settings]

    peaks: dict[str, float] = {}
    if not options.json:
        print(
            "| recipe | mode | tokens/s | updates/s | TFLOP/s | peak TFLOP/s | share |\n|---|---|---|---|---|---|---|"
        )
    with tempfile.TemporaryDirectory() as folder:
        if not any(setting.startswith("data.") for setting in settings):
            settings += made_up_data(Path(folder) / "data", 300 if options.tiny else NUM_PAIRS)
        for name in options.recipe or RECIPES:
            for mode in options.modes.split(","):
                if mode not in peaks:
                    peaks[mode] = matrix_rate(MODES[mode], device, 256 if options.tiny else 8192)
                directory = Path(tempfile.mkdtemp(dir=folder))
                found = measure(
                    load_recipe(name, parse_settings(settings)), MODES[mode], device, directory, warmup, updates
                )
                show(name, mode, found, peaks[mode], options.json)


def made_up_data(folder: Path, num_pairs: int) -> list[str]:
    """Write sentence pairs, and give the settings that train on them."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    for split, size in (("train", num_pairs), ("val", 10)):
        lengths = np.clip(rng.lognormal(np.log(13), 0.35, size), 3, 60).astype(int)
        for language in ("de", "en"):
            lines = (" ".join(f"w{i}" for i in np.minimum(rng.zipf(1.2, length), 20_000)) for length in lengths)
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [f"data.root={folder}", "data.source=de", "data.target=en", "vocabulary.type=word"]


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let matrix products and cuDNN round float32 to TF32, or not."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


def matrix_rate(mode: Mode, device: torch.device, size: int, repeats: int = 20) -> float:
    """Operations a second of a square matrix product."""
    with tf32(mode.tf32), autocast(device, mode.precision), torch.no_grad():
        a, b = (torch.randn(size, size, device=device) for _ in range(2))
        if mode.precision != "fp32":  # outside the clock: the conversion is not part of the product
            kind = torch.bfloat16 if mode.precision == "bf16" else torch.float16
            a, b = a.to(kind), b.to(kind)
        for _ in range(3):
            a @ b
        synchronize(device)
        started = time.perf_counter()
        for _ in range(repeats):
            a @ b
        synchronize(device)
    return 2 * size**3 * repeats / (time.perf_counter() - started)


@dataclass(frozen=True)
class Measured:
    """Rates of one recipe in one mode."""

    tokens_per_second: float
    updates_per_second: float
    operations_per_second: float


def measure(recipe: Recipe, mode: Mode, device: torch.device, directory: Path, warmup: int, updates: int) -> Measured:
    """Train for some updates."""
    changes = {"compile": mode.compiled, "log_every": 10**9}
    resolved = resolve(recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)}))
    recipe, techniques = resolved.recipe, resolved.make_techniques()
    torch.manual_seed(recipe.seed)
    data = prepare_data(recipe, techniques)
    model = build_model(recipe.model, data.vocabularies).to(device).train()
    batch_tokens = recipe.training.batch_tokens
    assert batch_tokens != "auto", "training.batch_tokens must be a number here"
    stream = data.batches(batch_tokens, recipe.seed).prefetch(device)
    counted: list[Batch] = []
    with tf32(mode.tf32):
        objective = Objective(model, recipe.training, mode.precision, techniques)
        trainer = Trainer(resolved, objective, stream, None, directory)
        batches = iter(trainer.batches)
        for _ in range(warmup):
            trainer.train_step(batches)
        synchronize(device)
        started = time.perf_counter()
        for _ in range(updates):
            trainer.train_step(recorded(batches, counted))
        synchronize(device)
        seconds = time.perf_counter() - started
    tokens = sum(batch.num_target_tokens for batch in counted)
    operations = sum(matrix_operations(model, batch) for batch in counted)
    return Measured(tokens / seconds, updates / seconds, operations / seconds)


def recorded(batches: Iterator[Batch], into: list[Batch]) -> Iterator[Batch]:
    for batch in batches:
        into.append(batch)
        yield batch


def matrix_operations(model: Seq2Seq, batch: Batch) -> int:
    """Of a training step, about: see the head of this file."""
    lookups = {id(side.embedding.weight) for side in (model.encoder, model.decoder)}
    output = model.decoder.output.weight_VD
    work = output.numel() * batch.num_target_tokens
    for side, positions in ((model.encoder, batch.source_BS.numel()), (model.decoder, batch.target_input_BT.numel())):
        matrices = [p for p in side.parameters() if p.dim() > 1 and id(p) not in lookups and p is not output]
        work += sum(p.numel() for p in matrices) * positions
    return 6 * work


def show(name: str, mode: str, found: Measured, peak: float, as_json: bool) -> None:
    """One line of the table."""
    share = found.operations_per_second / peak
    if as_json:
        figures = {"tokens_per_second": found.tokens_per_second, "updates_per_second": found.updates_per_second}
        print(json.dumps({"recipe": name, "mode": mode, **figures, "share_of_peak": share}), flush=True)
        return
    rates = f"{found.operations_per_second / 1e12:.3g} | {peak / 1e12:.3g}"
    speeds = f"{found.tokens_per_second:,.0f} | {found.updates_per_second:.2f}"
    print(f"| {name} | {mode} | {speeds} | {rates} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
