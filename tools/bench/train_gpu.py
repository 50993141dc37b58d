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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nmt.core.device import Precision, autocast, pick_device
from nmt.data.batch import Batch
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.load import load_recipe, parse_settings
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, prepare_data
from nmt.training.distributed import seed_everything
from nmt.training.events import Event, Updated
from nmt.training.objective import Objective
from nmt.training.resolve import resolve
from nmt.training.techniques import make_techniques
from nmt.training.trainer import Trainer

RECIPES = ("bench/transformer_256", "bench/bahdanau_256")
TINY = (
    "model.embedding_size=64",
    "training.batch_tokens=256",
    "vocabulary.size=200",
)
NUM_PAIRS = 20_000


@dataclass(frozen=True)
class Mode:
    """A way to compute."""

    precision: Precision
    tf32: bool = False
    graphs: bool = True
    peer: bool = False
    """The Marian class of Hugging Face's transformers, with the sizes of the recipe, in a plain loop with autocast."""


MODES = {
    "fp32": Mode("fp32"),
    "tf32": Mode("fp32", tf32=True),
    "bf16": Mode("bf16"),
    "fp16": Mode("fp16"),
    "tf32-eager": Mode("fp32", tf32=True, graphs=False),
    "bf16-eager": Mode("bf16", graphs=False),
    "transformers": Mode("bf16", tf32=True, peer=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", help="may be repeated; bench/transformer_256 and bahdanau_256")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--modes", default="tf32,bf16", help=f"some of {','.join(MODES)}")
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
            "| recipe | mode | tokens/s | updates/s | TFLOP/s | share of the peak | padding | MB | start | mean loss |"
            "\n|---|---|---|---|---|---|---|---|---|---|"
        )
    with tempfile.TemporaryDirectory() as folder:
        if not any(setting.startswith("data.") for setting in settings):
            settings += made_up_data(Path(folder) / "data", 300 if options.tiny else NUM_PAIRS)
        for name in options.recipe or RECIPES:
            recipe = load_recipe(name, parse_settings(settings))
            data = prepare_data(resolve(recipe))
            for mode in options.modes.split(","):
                if MODES[mode].peer and recipe.model.encoder["type"] != "transformer":
                    continue
                if mode not in peaks:
                    peaks[mode] = matrix_rate(MODES[mode], device, 256 if options.tiny else 8192)
                directory = Path(tempfile.mkdtemp(dir=folder))
                found = measure(recipe, data, MODES[mode], device, directory, warmup, updates)
                show({"recipe": name, "mode": mode, "settings": settings}, found, peaks[mode], options.json)


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
    padding: float
    megabytes: float
    """Most memory of tensors on a GPU."""
    seconds_before: float
    """For the updates before the clock starts, with the graphs."""
    mean_loss: float | None
    """Of a target token, over all updates of a recipe."""


def measure(
    recipe: Recipe, data: Data, mode: Mode, device: torch.device, directory: Path, warmup: int, updates: int
) -> Measured:
    """Train for some updates."""
    changes = {"cuda_graphs": mode.graphs, "log_every": 10**9}
    recipe = resolve(recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)}))
    techniques = make_techniques(recipe)
    seed_everything(recipe.seed)
    batch_tokens = recipe.training.batch_tokens
    assert batch_tokens != "auto", "training.batch_tokens must be a number here"
    model = build(recipe.model, data.vocabularies).to(device).train()
    objective = Objective(model, recipe.training, mode.precision, techniques)
    # Without graphs, too, so that the losses can be compared.
    stream = data.batches(batch_tokens, recipe.seed).prefetch(device)
    if device.type == "cuda":
        stream.use_few_shapes()
    counted: list[Batch] = []
    losses: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Updated):
            losses.append(event.loss)

    with tf32(mode.tf32):
        if mode.peer:
            step = transformers_step(recipe, data, device)
        else:
            trainer = Trainer(recipe, objective, stream, None, directory, on_event)

            def step(batches: Iterator[Batch]) -> None:
                trainer.train_step(batches)

        batches = iter(stream)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = time.perf_counter()
        for _ in range(warmup):
            step(batches)
        synchronize(device)
        started = time.perf_counter()
        for _ in range(updates):
            step(recorded(batches, counted))
        synchronize(device)
        seconds = time.perf_counter() - started
        if not mode.peer:
            trainer._report(epoch_ended=True, is_last=False)
    tokens = sum(batch.num_target_tokens for batch in counted)
    return Measured(
        tokens / seconds,
        updates / seconds,
        sum(matrix_operations(model, batch) for batch in counted) / seconds,
        sum(batch.num_padding for batch in counted) / sum(batch.num_positions for batch in counted),
        torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else 0.0,
        started - began,
        losses[-1] if losses else None,
    )


def transformers_step(recipe: Recipe, data: Data, device: torch.device) -> Callable[[Iterator[Batch]], None]:
    """A training step of ``MarianMTModel``, which reads the same batches."""
    from transformers import MarianConfig, MarianMTModel

    options, vocabulary = recipe.model.encoder, data.vocabularies.target
    feed_forward, layers, heads = (options[key] for key in ("feed_forward_size", "num_layers", "num_heads"))
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(vocabulary),
            d_model=recipe.model.embedding_size,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=feed_forward,
            decoder_ffn_dim=feed_forward,
            dropout=options["dropout"],
            scale_embedding=True,
            max_position_embeddings=512,
            pad_token_id=vocabulary.pad,
            eos_token_id=vocabulary.eos,
            decoder_start_token_id=vocabulary.sos,
            forced_eos_token_id=None,
        )
    )
    model = model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True)

    def step(batches: Iterator[Batch]) -> None:
        batch = next(batches).to(device)
        with autocast(device, "bf16"):
            mask_BS = (batch.source_BS != vocabulary.pad).long()
            output = model(input_ids=batch.source_BS, attention_mask=mask_BS, decoder_input_ids=batch.target_input_BT)
        nn.functional.cross_entropy(
            output.logits.float().flatten(0, 1),
            batch.target_output_BT.flatten(),
            ignore_index=vocabulary.pad,
            label_smoothing=0.1,
        ).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


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


def show(what: dict[str, Any], found: Measured, peak: float, as_json: bool) -> None:
    """One line of the table."""
    share = found.operations_per_second / peak
    if as_json:
        print(json.dumps(what | asdict(found) | {"share_of_peak": share}, allow_nan=False), flush=True)
        return
    speeds = (
        f"{found.tokens_per_second:,.0f} | {found.updates_per_second:.2f} | {found.operations_per_second / 1e12:.3g}"
    )
    loss = "" if found.mean_loss is None else f"{found.mean_loss:.5f}"
    rest = f"{found.padding:.1%} | {found.megabytes:,.0f} | {found.seconds_before:.1f} s | {loss}"
    print(f"| {what['recipe']} | {what['mode']} | {speeds} | {share:.1%} | {rest} |", flush=True)


if __name__ == "__main__":
    main()
