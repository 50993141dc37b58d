"""Every system on a GPU, where there is one: the losses and scores are those of the CPU."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

RECIPES = Path(__file__).parents[2] / "recipes"
SYSTEMS = [
    f"{folder}/{path.stem}"
    for folder in ("multi30k", "systems", "chat")
    for path in sorted((RECIPES / folder).glob("*.yaml"))
    if path.stem not in ("transformer_256", "flat", "no_context", "response_single", "response_multi")
]
TECHNIQUES: dict[str, dict[str, Any]] = {
    "scheduled_sampling": {"schedule": "inverse_sigmoid", "k": 5.0, "floor": 0.2},
    "truncation": {"length": 4},
    "gradient_flow": {"weight": 0.5},
}
CASES = {name: (name, {}) for name in SYSTEMS} | {
    f"technique/{name}": ("systems/rnn_tanh", {"training.techniques": {name: options}})
    for name, options in TECHNIQUES.items()
}
CASES |= {"optimizer/muon": ("systems/lstm", {"training.optimizer": "muon"})}
SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {"beam_size": 3},
    "sample": {"search": "sample", "beam_size": 2, "top_k": 5},
    "groups": {"beam_size": 4, "beam_groups": 2},
    "mbr": {"beam_size": 3, "mbr": "chrf"},
    "prune": {"beam_size": 3, "prune": 1.0},
    "no repeats": {"logits_processors": {"no_repeat_ngram": {"size": 2}}},
}


def run(device: str, recipe: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Train, translate and score on a device; the losses, translations and scores."""
    import nmt
    from nmt.models.layers import Dropout
    from nmt.quickstart.embedded_corpus import splits

    initialise = Dropout.__init__  # devices draw different random numbers
    Dropout.__init__ = lambda self, *_: initialise(self, 0.0)  # type: ignore[method-assign]
    few_steps = [pair for pair in splits(train=400)["train"] if len(pair.source) < 30][:40]
    pairs = [(pair.source, pair.target) for pair in few_steps]
    if recipe.startswith("chat"):
        pairs = [(f"{pairs[i - 1][0]}\t{source}", target) for i, (source, target) in enumerate(pairs) if i]
    settings = {
        "device": device,
        "training.precision": "fp32",
        "training.max_steps": 2,
        "training.max_epochs": None,
        "training.schedule.warmup_steps": 1,
        "training.validate_every": 100,
        "training.metric": "loss",
        "training.batch_tokens": 200,
        "training.techniques": {},
        "data.corpora": [],
        "vocabulary.size": 200,
        "vocabulary.joint": True,
    }
    with tempfile.TemporaryDirectory() as folder:
        losses: list[float] = []
        nmt.train(
            recipe,
            Path(folder) / "model",
            overrides=settings | changes,
            pairs=pairs,
            valid=pairs[:5],
            on_event=lambda event: losses.append(event.loss) if type(event).__name__ == "Updated" else None,
        )
        translator = nmt.load(Path(folder) / "model", device)
    found: dict[str, Any] = {"losses": losses}
    for name, search in SEARCHES.items() if translator.task.reads_source else ():
        found[name] = [t.text for t in translator.translate([pairs[i][0] for i in range(2)], max_length=6, **search)]
    found["scores"] = [pair.score for pair in translator.score(pairs[:3])]
    if translator.has_attention and not recipe.startswith("chat"):
        found["links"] = [alignment.links for alignment in translator.align(pairs[:3])]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.extension("search")
@pytest.mark.quick("multi30k/luong", "multi30k/transformer")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_the_results_of_the_cpu(name: str) -> None:
    """In a process of its own. Texts and links aren't compared: a model of two updates hardly prefers any, so rounding
    decides between them."""
    exact = os.environ | {"NVIDIA_TF32_OVERRIDE": "0"}  # else products of float32 matrices have ten bits of mantissa
    command = [sys.executable, __file__, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=exact)
    assert done.returncode == 0, done.stderr[-3000:]
    on_cpu, on_gpu = map(json.loads, done.stdout.splitlines())
    assert on_gpu.keys() == on_cpu.keys()
    for key in ("losses", "scores"):
        assert on_gpu[key] == pytest.approx(on_cpu[key], rel=1e-3), key


if __name__ == "__main__":
    for device in ("cpu", "cuda"):
        print(json.dumps(run(device, *CASES[sys.argv[1]])))
