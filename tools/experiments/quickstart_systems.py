"""Train systems on the embedded corpus, a quickstart each, and print their figures: two to nine minutes on one core.

    python tools/experiments/quickstart_systems.py OUTPUT [NAME ...]

docs/results.md has the table. The exit code is 1 if a system has less than 85 BLEU.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def in_both(cell: str) -> list[str]:
    """A cell in both directions of the encoder and in Luong's decoder."""
    return [f"model.encoder.cell={cell}", f"model.decoder.cell={cell}"]


def attending(attention: str, decoder: str = "type: luong", size: int = 192) -> list[str]:
    return [f"model.decoder={{{decoder}, cell: lstm, hidden_size: {size}, dropout: 0.1, attention: {{{attention}}}}}"]


def universal(side: str) -> str:
    options = "type: universal_transformer, num_heads: 4, feed_forward_size: 512, max_steps: 3, dropout: 0.1"
    return f"model.{side}={{{options}}}"


def transformer(side: str) -> str:
    return f"model.{side}={{type: transformer, num_layers: 2, num_heads: 4, feed_forward_size: 512, dropout: 0.1}}"


BASE = [
    "training.max_minutes=null",
    "vocabulary.size=3000",
    "model.embedding_size=192",
    "model.encoder.hidden_size=128",
    "model.decoder.hidden_size=192",
    "training.optimizer=adam",
    "training.learning_rate=0.004",
    "training.schedule.warmup_steps=200",
    "training.max_epochs=8",
]
"""The systems are wider than the quickstart's model and train for longer."""
PLAIN = ["training.learning_rate=0.002", "training.max_epochs=16"]
"""Networks without gates take a lower rate than the LSTM, and twice its epochs."""
ATTENTIVE = [
    "model.scale_embeddings=true",
    "model.init=xavier",
    "training.learning_rate=0.002",
    "training.schedule.warmup_steps=400",
    "training.max_epochs=12",
]
"""What models need that attend to themselves, as in their recipes for Multi30k."""
SYSTEMS = {
    # cells
    "rnn_tanh": [*in_both("rnn_tanh"), *PLAIN],
    "rnn_relu": [*in_both("{type: rnn_relu, init: identity}"), *PLAIN],
    "leaky": in_both("{type: leaky, gamma: 2, learned: true}"),
    "gru": in_both("gru"),
    "peephole": in_both("peephole"),
    "coupled": in_both("coupled"),
    "depth_gated": [*in_both("depth_gated"), "model.encoder.num_layers=2", "model.decoder.num_layers=2"],
    "clockwork": [*in_both("{type: clockwork, num_modules: 4}"), *PLAIN],
    "echo_state": [*in_both("echo_state"), "model.decoder.hidden_size=384", "training.max_epochs=12"],
    # states and depth
    "learned_start": ["model.encoder.initial_state=learned", "model.decoder.bridge=learned"],
    "residual": [f"model.{side}.{key}" for side in ("encoder", "decoder") for key in ("num_layers=2", "residual=true")],
    # scores
    "additive": attending("type: additive, size: 192"),
    "concat": attending("type: concat, size: 192"),
    "dot": attending("type: dot", size=256),
    "scaled_dot": attending("type: scaled_dot", size=256),
    "cosine": attending("type: cosine"),
    "location": attending("type: location"),
    # decoders
    "bahdanau": attending("type: additive, size: 192", decoder="type: bahdanau"),
    "input_feeding": ["model.decoder.input_feeding=true"],
    "ntm": ["model.decoder={type: ntm, hidden_size: 192, slot_size: 192, num_free_slots: 4, dropout: 0.1}"],
    "act_rnn": attending("type: additive, size: 192", decoder="type: act_rnn, max_steps: 3, time_penalty: 0.01"),
    "transformer": [transformer("encoder"), transformer("decoder"), *ATTENTIVE],
    "universal_transformer": [universal("encoder"), universal("decoder"), *ATTENTIVE],
    # training
    "scheduled_sampling": [
        "training.techniques.scheduled_sampling.schedule=linear",
        "training.techniques.scheduled_sampling.c=0.0002",
        "training.techniques.scheduled_sampling.floor=0.75",
    ],
    "truncated_bptt": ["training.techniques.truncation.length=8"],
    "gradient_flow": [*in_both("rnn_tanh"), *PLAIN, "training.techniques.gradient_flow.weight=0.1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder for the runs")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*SYSTEMS, []], help="systems; default: all")
    options = parser.parse_args()
    has_failed = False
    for name in options.names or SYSTEMS:
        settings = [f"--set={setting}" for setting in BASE + SYSTEMS[name]]
        command = [sys.executable, "-m", "nmt", "quickstart", "-o", str(options.output / name), *settings]
        subprocess.run(command, check=False)  # its exit code is 1 below the BLEU that a quickstart reaches
        figures = json.loads((options.output / name / "quickstart.json").read_text("utf-8"))
        print(f"{name}: BLEU {figures['bleu']}, AER {figures['aer']}, {figures['seconds']} s", flush=True)
        has_failed |= figures["bleu"] < 85
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
