"""How good models' answers in dialogues are, beside answers that are looked up.

    python tools/experiments/dialogue_answers.py chat runs/answers runs/answers_multi --samples 5

For each model it prints the validation loss, and of its answers to CHAT/test.prompt the BLEU, the mean number of words,
and distinct-1 and distinct-2: different words and pairs of words as a share of all (Li et al. 2016). A baseline looks
up, for each model, the training prompt whose encoder state has the highest cosine to that of the prompt, and gives the
answer of that one. Samples are spread evenly over the test prompts.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import torch
from runs import exit_codes, translate
from torch import Tensor

import nmt
from nmt.core.console import print_table, progress_bar
from nmt.data.batch import make_batch
from nmt.data.dialogue import current_turn
from nmt.evaluation.scores import read_aligned, score_corpus
from nmt.plotting.history import read_history

BATCH_SIZE = 64


def distinct(lines: Sequence[str]) -> tuple[float, float]:
    """Different words, and different pairs of neighbours, as shares of all of them."""
    words = [line.split() for line in lines]
    units = [[word for line in words for word in line], [pair for line in words for pair in pairwise(line)]]
    one, two = (len(set(found)) / max(len(found), 1) for found in units)
    return one, two


@torch.inference_mode()
def states(translator: nmt.Translator, lines: Sequence[str]) -> Tensor:
    """The state of the encoder's top layer after each line, of length 1. [lines, D]"""
    found, rest = [], iter(lines)
    while batch_lines := list(islice(rest, BATCH_SIZE)):
        ids = [(translator.encode_source(line), []) for line in batch_lines]
        batch = make_batch(ids, translator.vocabularies).to(translator.model.device)
        encoded = translator.model.encode(batch.source_BS, batch.source_length_B)
        if not encoded.final:
            raise nmt.UserError("This encoder has no state to look answers up by.", "Choose a recurrent one.")
        found.append(encoded.final[0][:, -1])
    return torch.nn.functional.normalize(torch.cat(found), dim=1)


def look_up(translator: nmt.Translator, prompts: Sequence[str], known: Sequence[tuple[str, str]]) -> list[str]:
    """Of each prompt, the answer to the most similar known prompt."""
    questions, answers = zip(*known, strict=True)
    nearest = (states(translator, prompts) @ states(translator, questions).T).argmax(dim=1)
    return [answers[index] for index in nearest.tolist()]


def answers_of(run: Path, prompts: Sequence[str], known: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """The model's own answers, then those looked up by it."""
    yield translate(run, prompts, run / "answers.txt")
    with progress_bar(f"looking answers up by {run.name}", None):
        yield look_up(nmt.load(run, "cpu"), prompts, known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chat", type=Path, help="folder that tools/corpora/chat_corpus.py wrote")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="model directories")
    parser.add_argument("--samples", type=int, default=5, metavar="N", help="prompts shown with all answers (5)")
    given = parser.parse_args()
    with exit_codes():
        known = list(zip(*read_aligned([given.chat / "train.prompt", given.chat / "train.response"]), strict=True))
        prompts, references = read_aligned([given.chat / "test.prompt", given.chat / "test.response"])
        systems, losses = {"people": list(references)}, {}
        for run in given.runs:
            summary = read_history(run).summary()
            losses[run.name] = f"{summary['validation_loss']:.3f}"
            generated, found = answers_of(run, prompts, known)
            systems |= {run.name: generated, f"{run.name}, looked up": found}
        rows = []
        for name, lines in systems.items():
            bleu = score_corpus(lines, [references], ["bleu"])["bleu"].score
            words, (one, two) = sum(len(line.split()) for line in lines) / len(lines), distinct(lines)
            rows.append((name, losses.get(name, "–"), f"{bleu:.1f}", f"{words:.1f}", f"{one:.3f}", f"{two:.3f}"))
        print_table("", ("answers", "validation loss", "BLEU", "words", "distinct-1", "distinct-2"), rows)
        for index in range(0, len(prompts), max(len(prompts) // max(given.samples, 1), 1))[: given.samples]:
            print(f"\n{current_turn(prompts[index])}")
            for name, lines in systems.items():
                print(f"    {name}: {lines[index]}")


if __name__ == "__main__":
    main()
