"""Train an encoder and a decoder of nmt in a plain PyTorch loop.

    python examples/plain_loop.py                   # about two minutes on one CPU core
    python examples/plain_loop.py --updates 20      # to see that it runs

Nothing of nmt's own trainer is used: batches, loss, optimizer and greedy search stand below, in plain PyTorch. Take it
as the start of an experiment that the recipes don't cover.
"""

import argparse
import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

import nmt
from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.quickstart.embedded_corpus import splits

Pairs = list[tuple[list[int], list[int]]]
MAX_LENGTH = 60
"""Most pieces of a translation."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=1500, metavar="N")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="sentence pairs of a batch")
    options = parser.parse_args()
    torch.manual_seed(1)

    corpus = splits(train=8000, valid=100, test=5)
    text = {name: [(pair.source, pair.target) for pair in pairs] for name, pairs in corpus.items()}
    vocabularies = train_vocabularies(nmt.VocabularyOptions(type="bpe", size=1000), text["train"])
    encoded = {name: encode(pairs, vocabularies) for name, pairs in text.items()}

    # Any encoder, decoder, cell and attention of a recipe's `model` can stand here.
    model = nmt.build(
        {
            "embedding_size": 96,
            "tie": "target",
            "encoder": {"type": "recurrent", "cell": "gru", "hidden_size": 64, "bidirectional": True},
            "decoder": {"type": "luong", "cell": "gru", "hidden_size": 96, "attention": {"type": "general"}},
        },
        vocabularies,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.004)
    batches = training_batches(encoded["train"], options.batch_size)
    for update in range(1, options.updates + 1):
        loss = batch_loss(model, next(batches), vocabularies)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % 100 == 0 or update == options.updates:
            held_out = validation_loss(model, encoded["valid"], vocabularies)
            print(f"update {update}: loss {loss.item():.3f}, validation loss {held_out:.3f}", flush=True)

    for (source, target), translation in zip(
        text["test"], translate(model, encoded["test"], vocabularies), strict=True
    ):
        print(f"\nsource:      {source}\ntranslation: {translation}\nreference:   {target}")


def encode(text: Sequence[tuple[str, str]], vocabularies: Vocabularies) -> Pairs:
    """Ids of both sides, without SOS and EOS."""
    return [(vocabularies.source.encode(source), vocabularies.target.encode(target)) for source, target in text]


def training_batches(pairs: Pairs, batch_size: int) -> Iterator[Pairs]:
    """Batches of pairs of similar length, for ever, in another order each time."""
    rng = random.Random(1)
    while True:
        ordered = sorted(pairs, key=lambda pair: (len(pair[1]), rng.random()))
        batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
        rng.shuffle(batches)
        yield from batches


def batch_loss(model: nn.Module, pairs: Pairs, vocabularies: Vocabularies) -> Tensor:
    """Mean cross-entropy of the target tokens, with the true previous token as input (teacher forcing).

    Shapes: B sentences, S source positions, T target positions, V target vocabulary.
    """
    batch = make_batch(pairs, vocabularies)
    encoded = model.encoder(batch.source_BS, batch.source_length_B)
    decoded = model.decoder.unroll(batch.target_input_BT, encoded)
    logits_BTV = model.decoder.output(decoded.features_BTD)
    pad = vocabularies.target.pad
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), batch.target_output_BT.flatten(), ignore_index=pad)


@torch.no_grad()
def validation_loss(model: nn.Module, pairs: Pairs, vocabularies: Vocabularies) -> float:
    """The loss of held-out pairs, without dropout."""
    model.eval()
    loss = batch_loss(model, pairs, vocabularies).item()
    model.train()
    return loss


@torch.no_grad()
def translate(model: nn.Module, pairs: Pairs, vocabularies: Vocabularies) -> list[str]:
    """Greedy search: a decoder goes from state to state, and everything that it remembers is in its state."""
    model.eval()
    batch, target = make_batch(pairs, vocabularies), vocabularies.target
    state = model.decoder.start(model.encoder(batch.source_BS, batch.source_length_B))
    token_B = torch.full((len(pairs),), target.sos)
    tokens = []
    for _ in range(MAX_LENGTH):
        step = model.decoder.step(token_B, state)
        token_B, state = step.logits_NV.argmax(dim=1), step.state
        tokens.append(token_B)
    rows = torch.stack(tokens, dim=1).tolist()
    return [target.decode(row[: row.index(target.eos)] if target.eos in row else row) for row in rows]


if __name__ == "__main__":
    main()
