"""What an update on an accelerator consists of, counted on a pretend one: operations, conversions, waits and uploads.

See ``pretend_accelerator.py``. A CUDA graph repeats the operations of a shape on the same memory, so they must be the
same for each batch of that shape, also for the empty one that is recorded, and none may wait for the device.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

RECIPES = Path(__file__).parents[2] / "recipes"
LAYERS = {"type": "transformer", "num_layers": 2, "num_heads": 2, "feed_forward_size": 32, "dropout": 0.1}
SYSTEMS = [f"systems/{path.stem}" for path in sorted((RECIPES / "systems").glob("*.yaml"))]
UNCAPTURABLE = {"systems/act_rnn", "systems/universal_transformer"}

needs_backend = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="needs a PyTorch with backends in Python",
)


@pytest.mark.slow
@needs_backend
@pytest.mark.parametrize(("optimizer", "num_layers", "most"), [("adam", 6, 700), ("muon", 2, 470)])
def test_an_update_in_bfloat16_has_few_operations_and_no_waits(optimizer: str, num_layers: int, most: int) -> None:
    found = in_process("bench/transformer_256", optimizer, LAYERS | {"num_layers": num_layers})
    assert found["operations"] <= most, found["most"]
    assert found["conversions"] <= 3
    assert not found["waits"]
    assert sum(found["uploads"].values()) <= 5
    assert found["same_operations"]
    assert found["same_tensors"]
    assert found["waits_of_reading"] == 1, "the figures of all updates are read at once"


@pytest.mark.slow
@needs_backend
@pytest.mark.parametrize("name", SYSTEMS)
def test_updates_of_one_shape_have_the_same_operations(name: str) -> None:
    """Unless a component says that it can't be captured."""
    found = in_process(name)
    assert bool(found["uncapturable"]) == (name in UNCAPTURABLE)
    if not found["uncapturable"]:
        assert found["same_operations"]
        assert found["same_tensors"]
        assert not found["waits"]


@needs_backend
@pytest.mark.extension("search")
def test_a_device_without_float64_samples_what_the_cpu_samples() -> None:
    found = in_process(function="sample_without_float64")
    assert found["accel"] == found["cpu"]


def in_process(*arguments: Any, function: str = "measure") -> dict[str, Any]:
    """What a function of this file returns in a process of its own."""
    command = [sys.executable, __file__, function, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


NO_KERNEL = ("aten::detach", "aten::_unsafe_view", "aten::_reshape_alias", "aten::empty", "aten::new_empty")


class Recorder(TorchDispatchMode):
    """The operations of the device that aren't views, with the shapes of what they read, and the static tensors."""

    def __init__(self, static: dict[int, int]) -> None:
        super().__init__()
        self.operations: list[str] = []
        self.static = static

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from pretend_accelerator import AccelTensor

        result = operation(*args, **(kwargs or {}))
        name = operation._schema.name
        read = [leaf.content for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, AccelTensor)]
        on_device = read or any(isinstance(leaf, AccelTensor) for leaf in tree_leaves(result))
        if on_device and not operation.is_view and name not in NO_KERNEL:
            shapes = [tuple(value.shape) for value in args if isinstance(value, Tensor)]
            static = [self.static[tensor.data_ptr()] for tensor in read if tensor.data_ptr() in self.static]
            self.operations.append(f"{name} {shapes} {static}")
        return result


def static_tensors(trainer: Any) -> list[Tensor]:
    """What graphs read and write besides the ids of a batch and what they make themselves."""
    of_gradients, of_update, scaler = trainer._on_device, trainer._update_on_device, trainer.scaler
    tensors = [*of_gradients._originals.values(), *of_gradients._copies.values(), *of_gradients._gradients]
    tensors += [of_gradients._one_over_tokens, of_update._norm, scaler._scale, scaler._growth_tracker]
    tensors += [value for state in trainer.optimizer.state.values() for value in state.values() if value.dim()]
    return [tensor.detach().content for tensor in tensors]


def measure(recipe: str, optimizer: str = "adam", layers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Trains for some updates on the pretend accelerator, one of them with an empty batch of the same shape, and counts
    what the last one does."""
    import pretend_accelerator

    import nmt.training.trainer as trainer_module
    from nmt.data.batch import make_batch
    from nmt.models.build import build
    from nmt.quickstart.embedded_corpus import splits
    from nmt.recipe.load import load_recipe
    from nmt.training.data import prepare_data
    from nmt.training.graphs import uncapturable
    from nmt.training.objective import Objective
    from nmt.training.resolve import resolve

    trainer_module.READ_EVERY = 1e9
    changes: dict[str, Any] = {
        "device": "cpu",
        "training.precision": "bf16",
        "training.optimizer": optimizer,
        "training.techniques": {},
        "training.batch_tokens": 200,
        "data.corpora": [],
        "vocabulary.size": 200,
        "vocabulary.joint": True,
        "training.log_every": 10**6,
    }
    if layers is not None:
        changes |= {"model.encoder": layers, "model.decoder": layers, "model.embedding_size": 16}
    resolved = resolve(load_recipe(recipe, changes))
    pairs = [(pair.source, pair.target) for pair in splits(train=400)["train"] if len(pair.source) < 30][:40]
    data = prepare_data(resolved, pairs, pairs[:5])
    torch.manual_seed(1)
    model = build(resolved.model, data.vocabularies).to(pretend_accelerator.NAME).train()
    objective = Objective(model, resolved.training, "bf16")
    stream = data.batches(200, 1).prefetch(model.device)
    trainer = trainer_module.Trainer(resolved, objective, stream, None, Path("nowhere"))
    found: dict[str, Any] = {"uncapturable": uncapturable(objective)}
    assert trainer._on_device is not None
    batch = next(iter(stream))
    empty = make_batch([((), ())], data.vocabularies, shape=batch.shape)
    assert empty.num_target_tokens < batch.num_target_tokens
    trainer.train_step(iter([batch]))  # makes the state of the optimizer
    static = static_tensors(trainer)
    places = [tensor.data_ptr() for tensor in static]
    recorded = []
    for each in (empty, batch):
        pretend_accelerator.waits.clear()
        pretend_accelerator.uploads.clear()
        with Recorder({place: number for number, place in enumerate(places)}) as recorder:
            trainer.train_step(iter([each]))
        recorded.append(recorder.operations)
    names = Counter(operation.partition(" ")[0] for operation in recorded[-1])
    shapes = {str(tuple(p.shape)) for p in model.parameters()}
    found |= {
        "operations": len(recorded[-1]),
        "most": names.most_common(40),
        "conversions": sum(
            operation.startswith("aten::_to_copy") and operation.partition("[")[2].partition("]")[0] in shapes
            for operation in recorded[-1]
        ),
        "waits": dict(pretend_accelerator.waits),
        "uploads": dict(pretend_accelerator.uploads),
        "same_operations": recorded[-1] == recorded[-2],
        "same_tensors": [tensor.data_ptr() for tensor in static_tensors(trainer)] == places,
    }
    pretend_accelerator.waits.clear()
    trainer._read()
    return found | {"waits_of_reading": sum(pretend_accelerator.waits.values())}


def sample_without_float64() -> dict[str, Any]:
    """Samples, and the position code that other toolkits compute in float64, by device."""
    import pretend_accelerator

    import nmt
    from nmt.core.device import WITHOUT_FLOAT64
    from nmt.models.layers import sinusoids

    pretend_accelerator.missing.add(torch.float64)
    WITHOUT_FLOAT64.add("accel")
    found: dict[str, Any] = {}
    for device in ("cpu", "accel"):
        model = nmt.load(RECIPES.parent / "tests" / "golden" / "models" / "transformer", device)
        samples = model.translate(["Sie schläft."], search="sample", beam_size=3, top_k=9)[0].n_best
        code = sinusoids(9, 8, torch.device(device), "sinusoidal_halves")
        found[device] = [[each.text for each in samples], code.tolist()]
    return found


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "support"))
    import pretend_accelerator

    pretend_accelerator.register()
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
