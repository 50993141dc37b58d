"""The measuring tools: figures are read from what is printed, and operations are counted right."""

import asyncio
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nmt.core.device import pick_precision
from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.build import build_model
from nmt.recipe.schema import ModelOptions
from nmt.training.loss import token_loss

LoadTool = Callable[[str], ModuleType]
PYTHON = shlex.quote(sys.executable)


@pytest.mark.parametrize(
    ("printed", "speed"),
    [
        ("step 10: 1,000 tokens/s\\nstep 20: 2,000 tokens/s\\nstep 30: 6,000 tokens/s", 3000),
        ("{'loss': 3.1, 'tokens_per_second': 1234.5}", 1234.5),
        ("peer bf16 2616 target tokens/s", 2616),
    ],
    ids=["the first holds the start", "the only one counts", "target tokens"],
)
def test_a_peers_speed_is_read_from_what_it_prints(load_tool: LoadTool, printed: str, speed: float) -> None:
    tool = load_tool("bench/train_cpu")
    command = f'{PYTHON} -c "print(\\"{printed}\\")"'
    assert tool.peer_speed("peer", command, tool.PATTERN) == pytest.approx(speed)
    assert tool.peer_speed("peer", f"{PYTHON} -c 'print(\"v=7,5e\")'", r"v=(\d)") == 7


def test_a_peer_that_fails_or_says_nothing_is_told(load_tool: LoadTool) -> None:
    tool = load_tool("bench/train_cpu")
    with pytest.raises(SystemExit, match=r"(?s)marian failed with exit code 3.*no such model"):
        tool.peer_speed("marian", f"{PYTHON} -c 'print(\"no such model\"); exit(3)'", tool.PATTERN)
    with pytest.raises(SystemExit, match="marian printed no speed"):
        tool.peer_speed("marian", f"{PYTHON} -c 'print(1)'", tool.PATTERN)


def test_the_table_has_medians_and_ratios(load_tool: LoadTool) -> None:
    text = load_tool("bench/train_cpu").table(
        {"ours": [4000.0, 1000.0, 5000.0], "peer": [2000.0] * 3}, "ours", "tokens/s"
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert rows[2] == ["ours", "4,000", "1,000", "5,000", "4,000", "1.00"]
    assert rows[3] == ["peer", "2,000", "2,000", "2,000", "2,000", "2.00"]
    assert len({len(row) for row in rows}) == 1


def test_operations_are_about_those_that_pytorch_counts(load_tool: LoadTool) -> None:
    tool = load_tool("bench/train_gpu")
    rng = np.random.default_rng(3)
    words = WordVocabulary([f"▁w{i}" for i in range(300)])
    stack = {"type": "transformer", "num_layers": 2, "num_heads": 4, "feed_forward_size": 256}
    options = ModelOptions(encoder=stack, decoder=stack, embedding_size=64, tie="all")
    model = build_model(options, Vocabularies(words, words))
    # 320 positions, a multiple of 64: the loss fills up no rows.
    pairs = [tuple(rng.integers(4, 300, 9).tolist() for _ in range(2)) for _ in range(32)]
    batch = make_batch(pairs, Vocabularies(words, words))  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
        output = model.decoder.output
        token_loss(
            unrolled.features_BTD, output, batch.target_output_BT, batch.target_length_B, 0.1
        ).smoothed.backward()
    assert tool.matrix_operations(model, batch) == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert torch.get_float32_matmul_precision() == "highest"


def test_cells_are_measured_beside_the_lstm(
    load_tool: LoadTool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool("bench/cells")
    precision = pick_precision("auto", torch.device("cpu"))  # without bfloat16 oneDNN has no LSTM for it
    small = ["--hidden-size", "8", "--batch", "2", "--length", "3", "--repeat", "1", "--turns", "2"]
    monkeypatch.setattr(sys, "argv", ["cells.py", "--cells", "peephole", "gru", "--precision", precision, *small])
    tool.main()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[2:]] == ["lstm", "peephole", "gru"]
    for row in rows[2:]:
        assert all(float(speed.replace(",", "")) > 0 for speed in row[1:4])
        medians = [float(other[3].replace(",", "")) for other in (rows[2], row)]
        assert float(row[4]) == pytest.approx(medians[0] / medians[1], abs=0.02)


@pytest.mark.slow
def test_shards_are_the_lines_of_the_file_and_a_failure_ends_the_measurement(
    load_tool: LoadTool, tmp_path: Path
) -> None:
    tool = load_tool("bench/shards")
    paths = tool.write_lines(tmp_path, 30_000)
    lines = (tmp_path / "all.en").read_text("utf-8").splitlines()
    assert len(lines) == 30_000
    assert len(set(lines[:24_000])) == 24_000
    assert lines[:100] != lines[24_000:24_100]
    assert [line for path in paths for line in path.read_text("utf-8").splitlines()] == lines
    assert {len(path.read_text("utf-8").splitlines()) for path in paths} == {1500}
    with pytest.raises(SystemExit, match="nmt no-command failed"):
        tool.measure(["no-command"], 1)


def test_the_load_of_a_server_counts_wrong_and_lost_answers(load_tool: LoadTool) -> None:
    """Against a server that translates one line wrongly, refuses one, and closes the connection for one."""
    tool = load_tool("bench/serve")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line = json.loads(await reader.readexactly(int(head.rpartition(b": ")[2])))["q"]
            if line == "close":
                writer.close()
                return
            body = json.dumps({"translatedText": line.upper()}).encode()
            status = b"503 no" if line == "refuse" else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            await load.client(server.sockets[0].getsockname()[1], iter(load.lines))

    load = tool.Load(["a", "wrong", "refuse", "close", "b"], "de", "en", {"a": "A", "wrong": "right"})
    asyncio.run(run())
    assert len(load.seconds) == 3
    assert load.wrong == [("right", "WRONG")]
    assert load.failures == {"503": 1, "IncompleteReadError": 1}
    assert load.expected["b"] == "B"


def test_a_cost_that_doubles_with_the_size_has_the_exponent_one(load_tool: LoadTool) -> None:
    tool = load_tool("bench/growth")
    assert tool.exponent([1, 2, 4, 8], [5, 6, 12, 24]) == pytest.approx(1)
    assert tool.exponent([2, 4, 8], [1, 4, 16]) == pytest.approx(2)
    assert np.isnan(tool.exponent([1, 2, 4], [0, 1, 2]))


@pytest.mark.parametrize("system", ["Transformer", "Bahdanau", "Luong"])
def test_search_takes_as_many_steps_as_the_length_says(load_tool: LoadTool, system: str) -> None:
    tool = load_tool("bench/growth")
    sizes = tool.Sizes(lines=3, length=6, batch=2, beam=2, vocabulary=50, width=16)
    translations = tool.search_work(*tool.made(system, sizes), sizes)()
    assert [len(translation.tokens) for translation in translations] == [7, 7, 7]


@pytest.mark.slow
def test_costs_are_measured_in_a_process_of_their_own(load_tool: LoadTool) -> None:
    tool = load_tool("bench/growth")
    small = tool.Sizes(batch=1, vocabulary=50, width=64, length=32)
    few, many = (tool.in_own_process("training", "Luong", replace(small, batch=batch), 1) for batch in (1, 512))
    assert few[0] == many[0] == sum(parameter.numel() for parameter in tool.made("Luong", small)[0].parameters())
    assert many[1] > 2 * few[1] > 0  # memory isn't compared: these processes reuse what the tests have freed


def test_students_are_compared_with_their_teacher(load_tool: LoadTool, tmp_path: Path) -> None:
    tool = load_tool("bench/students")
    rows = [
        tool.Row("teacher", "nmt", 5, 2_000_000, 9.0, 42.0, [90.0, 100.0, 200.0]),
        tool.Row("student", "nmt", 1, 1_000_000, 4.0, 41.5, [500.0]),
        tool.Row("student", "nmt", 2, 1_000_000, 4.0, 41.4, [400.0]),
        tool.Row("student", "CTranslate2, int8", 1, 1_000_000, 1.0, 41.0, [1_000.0]),
    ]
    lines = tool.table(rows, rows[0]).splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[5:] for row in found[2:]] == [
        ["1,000", "10.0", "41.00", "-1.00", "*"],
        ["500", "5.0", "41.50", "-0.50", "*"],
        ["400", "4.0", "41.40", "-0.60", ""],
        ["100", "1.0", "42.00", "+0.00", "*"],
    ]
    tool.draw(rows, tmp_path / "students.svg")
    assert "lines per second" in (tmp_path / "students.svg").read_text()
