"""Gradients with weights in the type of the computation, and recorded ones: CUDA graphs where there is a GPU."""

import gc
import pickle
import weakref
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

import nmt
from nmt.data.batch import Batch
from nmt.models.build import build
from nmt.models.layers import Positions
from nmt.quickstart.embedded_corpus import splits
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, prepare_data
from nmt.training.events import Event, Updated
from nmt.training.graphs import DeviceGradients, DeviceUpdate, constant_scaler
from nmt.training.loss import batch_loss
from nmt.training.objective import Objective
from nmt.training.optimization import make_optimizer
from nmt.training.resolve import resolve
from nmt.training.trainer import Trainer
from nmt.training.weights import layer_matrices

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SMALL: dict[str, Any] = {
    "training.batch_tokens": 300,
    "training.log_every": 1000,
    "vocabulary.size": 300,
    "vocabulary.joint": True,
    "model.embedding_size": 32,
}
LAYERS = {"type": "transformer", "num_layers": 2, "num_heads": 2, "feed_forward_size": 64, "dropout": 0.2}
TRANSFORMER = {"model.encoder": LAYERS, "model.decoder": LAYERS}
RECURRENT = {"type": "recurrent", "cell": "lstm", "hidden_size": 32, "dropout": 0.2}
MODELS: dict[str, dict[str, Any]] = {
    "transformer": TRANSFORMER,
    "bahdanau": {"model.encoder": RECURRENT, "model.decoder": RECURRENT | {"type": "bahdanau"}},
    "gru": {
        "model.encoder": RECURRENT | {"cell": "gru"},
        "model.decoder": RECURRENT | {"type": "luong", "cell": "gru", "attention": {"type": "general"}},
    },
}


def problem(model: str = "transformer", **changes: Any) -> tuple[Recipe, Data]:
    """A recipe and some pairs of the embedded corpus."""
    recipe = load_recipe("bench/transformer_256", {**SMALL, **MODELS[model], **changes})
    resolved = resolve(recipe)
    pairs = [(pair.source, pair.target) for pair in splits(train=500)["train"]]
    return resolved, prepare_data(resolved, pairs, pairs[:20])


def new_objective(resolved: Recipe, data: Data, precision: Any, device: str = "cpu") -> Objective:
    torch.manual_seed(1)
    model = build(resolved.model, data.vocabularies).to(device).train()
    return Objective(model, resolved.training, precision)


def gradients_of(objective: Objective) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def on_device(objective: Objective, examples: Sequence[Batch] = (), record: Any = None) -> DeviceGradients:
    return DeviceGradients(objective, constant_scaler(objective.model.device), examples, record)


class Repeated:
    """A recorder that calls the function again."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self.num_recorded, self.num_replays, self.fails_after = 0, 0, fails_after

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        if self.num_recorded == self.fails_after:
            raise torch.OutOfMemoryError("no memory")
        self.num_recorded += 1
        function()

        def replay() -> None:
            self.num_replays += 1
            function()

        return replay


@pytest.mark.parametrize("halved", [False, True])  # as after batches that didn't fit in memory
@pytest.mark.parametrize("num_batches", [1, 3])
def test_gradients_are_those_of_the_plain_computation(num_batches: int, halved: bool) -> None:
    resolved, data = problem(**{"model.encoder.dropout": 0.0, "model.decoder.dropout": 0.0})
    stream = data.batches(300, 1)
    examples = stream.use_few_shapes()
    batches = [batch for _, batch in zip(range(num_batches), stream, strict=False)]
    tokens = sum(batch.num_target_tokens for batch in batches)
    objective = new_objective(resolved, data, "fp32")
    for batch in batches:
        (objective(batch).total / tokens).backward()
    expected = gradients_of(objective)
    objective.zero_grad()
    record = Repeated()
    gradients = on_device(objective, examples, record)
    gradients.begin(tokens)
    for part in chain(*(batch.halves() for batch in batches)) if halved else batches:
        gradients.add(part, 0)
    assert halved or record.num_replays == num_batches
    torch.testing.assert_close(gradients_of(objective), expected, rtol=1e-4, atol=1e-7)


def test_a_stream_of_few_shapes_goes_on_in_the_middle_of_an_epoch() -> None:
    _, data = problem()
    streams = [data.batches(300, 1) for _ in range(2)]
    for stream in streams:
        stream.use_few_shapes()
    count = len(streams[0]) + 10  # in the second epoch
    for _ in range(count):
        streams[0].advance()
    streams[1].load_state_dict(streams[0].state_dict())
    for first, second, _ in zip(*streams, range(20), strict=False):
        assert first.shape == second.shape
        assert torch.equal(first.as_one(), second.as_one())


def test_weights_are_converted_once_an_update_and_gradients_are_float32() -> None:
    resolved, data = problem()
    batch = next(iter(data.batches(300, 1)))
    objective = new_objective(resolved, data, "bf16")
    gradients = on_device(objective)
    losses = []
    for _ in range(2):
        gradients.begin(batch.num_target_tokens)
        torch.manual_seed(3)
        losses.append(float(gradients.add(batch, 0)["nll"]))
        with torch.no_grad():
            for parameter in objective.parameters():
                assert parameter.grad.dtype == torch.float32
                parameter.sub_(parameter.grad.sign() * 1e-3)
                parameter.grad = None
    assert losses[1] < losses[0], "the change of the weights was not seen"


def test_a_shape_without_a_recording_is_computed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    resolved, data = problem()
    stream = data.batches(300, 1)
    examples = stream.use_few_shapes()
    objective = new_objective(resolved, data, "fp32")
    record = Repeated(fails_after=2)
    gradients = on_device(objective, examples, record)
    for _, batch in zip(range(6), stream, strict=False):
        gradients.begin(batch.num_target_tokens)
        assert torch.isfinite(gradients.add(batch, 0)["nll"])
    message = capsys.readouterr().err
    assert "shapes of batches have no CUDA graph" in message
    assert "memory ran out" in message


def test_weights_that_got_memory_of_their_own_follow_the_parameters() -> None:
    """PyTorch's LSTM gives its weights contiguous memory on a GPU, in the first forward pass that reads copies."""
    resolved, data = problem("bahdanau")
    batch = next(iter(data.batches(300, 1)))
    objective = new_objective(resolved, data, "fp32")
    gradients = on_device(objective)
    for copy in gradients._copies.values():
        copy.data = copy.data.clone()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(1.0)
    gradients.begin(batch.num_target_tokens)
    for name, parameter in objective.named_parameters():
        assert torch.equal(gradients._copies[name], parameter)


def test_a_recording_keeps_the_code_of_positions_that_a_longer_sentence_replaces() -> None:
    """A validation may search for a longer sentence, and a graph goes on reading the code at its place in memory."""
    resolved, data = problem()
    stream = data.batches(300, 1)
    objective = new_objective(resolved, data, "fp32")
    gradients = on_device(objective, stream.use_few_shapes(), Repeated())
    gradients.begin(1)
    positions = [module for module in objective.modules() if isinstance(module, Positions)]
    codes = [weakref.ref(module._code) for module in positions]
    for module in positions:
        module.sinusoidal(5000, torch.device("cpu"))
    assert codes
    assert all(code() is not None for code in codes)


def test_a_validation_moves_no_weights_of_recurrent_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN gives weights new memory if the pass before read others, and graphs go on with the old memory."""

    def flatten(layer: nn.RNNBase) -> None:
        for weight in layer._flat_weights:
            weight.data = weight.data.clone()

    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", flatten)
    resolved, data = problem("gru")
    stream = data.batches(300, 1)
    objective = new_objective(resolved, data, "bf16")
    gradients = on_device(objective, stream.use_few_shapes(), Repeated())
    gradients.begin(1)
    tensors = [*gradients._originals.values(), *gradients._copies.values()]
    places = [tensor.data_ptr() for tensor in tensors]
    batch = next(iter(stream))
    with torch.no_grad():
        batch_loss(objective.model, batch)
    gradients.compute(batch, 0)
    assert [tensor.data_ptr() for tensor in tensors] == places
    copied = pickle.loads(pickle.dumps(objective.model))
    torch.testing.assert_close([*copied.parameters()], [*objective.model.parameters()], rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_repeated_change_of_the_weights_is_that_of_single_operations(optimizer: str) -> None:
    resolved, data = problem(**{"training.optimizer": optimizer, "training.learning_rate": 0.01})
    batch = next(iter(data.batches(300, 1)))
    found = []
    for record in (None, Repeated()):
        objective = new_objective(resolved, data, "fp32")
        gradients = on_device(objective)
        parameters = dict(objective.model.named_parameters())
        chosen = make_optimizer(resolved.training, parameters, layer_matrices(objective.model))
        change = DeviceUpdate(chosen, gradients._scaler, list(parameters.values()), 1.0, record)
        torch.manual_seed(4)
        for update in range(1, 5):
            gradients.begin(batch.num_target_tokens)
            gradients.add(batch, update)
            norm = change.apply(0.01 / update)
            for parameter in parameters.values():
                parameter.grad = None
        assert record is None or record.num_replays == 2
        found.append([norm.clone(), *(parameter.detach() for parameter in parameters.values())])
    for plain, repeated in zip(*found, strict=True):
        torch.testing.assert_close(plain, repeated, rtol=1e-4, atol=1e-6)


class FailsInCapture:
    """A recorder whose first run of a function works, as beforehand, and whose second one runs out of memory."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        function()
        with mock.patch.object(self.optimizer, "step", side_effect=torch.OutOfMemoryError("no memory")):
            function()
        raise AssertionError("the second run can't work")


def test_updates_go_on_where_memory_runs_out_while_their_change_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    change = DeviceUpdate(optimizer, scaler, [weight], 1.0, FailsInCapture(optimizer))
    gradient = torch.empty(3)
    for update in range(1, 5):
        scaler.scale(gradient.fill_(0.1))
        weight.grad = gradient
        change.apply(0.01)
        assert optimizer.state[weight]["step"] == update
        assert scaler.get_scale() == 4.0
    assert "the change of the weights has no CUDA graph" in capsys.readouterr().err


def test_an_optimizer_that_cannot_leave_out_an_update_by_itself_is_not_recorded() -> None:
    weight, record = nn.Parameter(torch.ones(3)), Repeated()
    optimizer = torch.optim.NAdam([weight])  # the scaler reads whether the gradient is finite, which a graph can't
    change = DeviceUpdate(optimizer, constant_scaler(weight.device), [weight], 1.0, record)
    change._scaler.scale(torch.ones(()))
    gradient = torch.full((3,), 0.1)
    for _ in range(3):
        weight.grad = gradient
        change.apply(0.01)
    assert not record.num_recorded


def losses_of_training(model: str, precision: Any, graphs: bool, num_updates: int = 12) -> list[float]:
    """Losses on a GPU, of the same batches and the same random numbers with and without graphs."""
    resolved, data = problem(model)
    objective = new_objective(resolved, data, precision, "cuda")
    stream = data.batches(300, 1).prefetch(torch.device("cuda"))
    losses: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Updated):
            losses.append(event.loss)

    trainer = Trainer(resolved, objective, stream, None, Path("nowhere"), on_event)
    if not graphs:
        trainer._on_device._examples = []
    torch.manual_seed(2)
    batches = iter(stream)
    for _ in range(num_updates):
        trainer.train_step(batches)
    trainer._report(epoch_ended=True, is_last=False)
    assert bool(trainer._on_device._recorded) == graphs
    return losses


@needs_gpu
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 2e-3), ("fp16", 1e-3)])
def test_graphs_of_a_gpu_give_the_losses_of_single_operations(model: str, precision: str, tolerance: float) -> None:
    expected = losses_of_training(model, precision, graphs=False)
    assert len(expected) == 12
    assert losses_of_training(model, precision, graphs=True) == pytest.approx(expected, rel=tolerance)


@needs_gpu
def test_each_replay_has_its_own_dropout() -> None:
    resolved, data = problem()
    objective = new_objective(resolved, data, "fp32", "cuda")
    stream = data.batches(300, 1)
    examples = stream.use_few_shapes()
    gradients = on_device(objective, examples)
    batch = next(iter(stream))
    losses = set()
    for _ in range(3):
        gradients.begin(batch.num_target_tokens)
        losses.add(float(gradients.add(batch, 0)["nll"]))
    assert len(losses) == 3


@needs_gpu
def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    resolved, data = problem()
    examples = data.batches(3000, 1).use_few_shapes()
    longest = max(examples, key=lambda batch: batch.num_positions)
    peaks = []
    for recorded in ([longest], examples):
        gc.collect()  # of what other tests leave
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        gradients = on_device(new_objective(resolved, data, "bf16", "cuda"), recorded)
        gradients.begin(1)
        peaks.append(torch.cuda.max_memory_allocated() - before)
        del gradients
    assert peaks[1] < 1.3 * peaks[0]


@needs_gpu
def test_a_resumed_run_on_a_gpu_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    pairs = [(pair.source, pair.target) for pair in splits(train=600)["train"]]

    def run(folder: str, steps: int, resume: bool) -> list[float]:
        losses: list[float] = []
        nmt.train(
            "bench/transformer_256",
            tmp_path / folder,
            overrides={
                **SMALL,
                **TRANSFORMER,
                "device": "cuda",
                "training.max_steps": steps,
                "training.validate_every": 100,
                "training.log_every": 1,
                "training.precision": "bf16",
            },
            resume=resume,
            pairs=pairs,
            valid=pairs[:10],
            on_event=lambda event: losses.append(event.loss) if isinstance(event, Updated) else None,
        )
        return losses

    whole = run("whole", 8, resume=False)
    first = run("parts", 4, resume=False)
    assert first + run("parts", 8, resume=True) == pytest.approx(whole, rel=1e-3)
