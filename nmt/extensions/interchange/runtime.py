"""Translates text with a folder of ONNX files: ``python translate.py < source > target``.

Needs Python 3.11 and ``pip install onnxruntime sentencepiece numpy sentencex``, nothing else. As a module::

    import translate

    model = translate.load("folder")
    model.translate(["Ein Mann schläft."], beam_size=5)

The search is that of nmt: the same hypotheses, limits, length penalties and stopping rules.

Shapes: B sentences, S source positions, K hypotheses of a sentence, V target vocabulary, t tokens so far. The name of
a tensor ends in its shape.
"""

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.extensions.documents.segmentation import sentences_of_line
from nmt.translation.patterns import side_by_side

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
SPACE = "\u2581"
INVISIBLE = dict.fromkeys((0xAD, 0x2060, 0xFEFF))
"""Soft hyphens, word joiners and byte order marks, which nmt leaves out of a line, too."""
WINDOW = 16
"""Batches that are read before they are sorted by length and translated."""
LENGTH_PENALTIES: dict[str, Callable[[Any, Any, float], Any]] = {
    "none": lambda log_p, length, alpha: log_p,
    "average": lambda log_p, length, alpha: log_p / length**alpha,
    "gnmt": lambda log_p, length, alpha: log_p / ((5 + length) / 6) ** alpha,
    "word_reward": lambda log_p, length, alpha: log_p + alpha * length,
}
"""Scores of hypotheses by their log-probabilities and lengths, EOS counted, as in ``nmt.decoding.ranking``."""
CHOICES = {"length_penalty": tuple(LENGTH_PENALTIES), "early_stopping": ("first", "likely", "exact")}
NOT_FINITE = (
    "the model gives log-probabilities that are not finite; its weights are damaged or too large for their type: "
    "export it again without --quantization, or another checkpoint"
)
BEST = ("end", "best.value", "best.parent", "best.token")
"""What a search reads of ``step.onnx``: the log-probability of EOS after each hypothesis [B, K], which is not finite if
any is not; and the 2K best continuations: log-probabilities, places of the hypotheses and tokens, each [B, 2K]."""
SHORTLIST = "shortlist.bin"
"""Lists of target ids, each after its length: those of every shortlist, and those of each source id."""
MULTIPLE = 64
"""The size of a shortlist is one of this number, as in nmt."""
FORMAT = 2
"""Version of ``config.json``."""


class Hypothesis(NamedTuple):
    """A finished translation, in ids without SOS and EOS."""

    ids: list[int]
    score: float
    """Log-probability under the length penalty."""
    log_probability: float


class FolderError(Exception):
    """The folder or an option can't be used; the message says why."""


class _Vocabulary:
    """A sentencepiece model.

    Args:
        content: of its file.
        tags: ids of the tags that may stand at the beginning of a line.
        hidden: ids that are no text.
    """

    _tag, _prefix = re.compile(r"\s*(<[^<>\s]+>)\s*"), list[int]()

    def __init__(self, content: bytes, tags: Mapping[str, int], hidden: Iterable[int]) -> None:
        import sentencepiece

        self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        self._tags, self._hidden = tags, set(hidden)

    def after_tags(self, line: str) -> int:
        """Returns where the text of a line begins after its tags."""
        start = 0
        while (match := self._tag.match(line, start)) and match[1] in self._tags:
            start = match.end(1)
        return start

    def encode(self, line: str) -> list[int]:
        """Returns the ids of a line and of the tags at its beginning."""
        start = self.after_tags(line)
        tags = [self._tags[tag] for tag in self._tag.findall(line[:start])]
        ids = self._encode(line[start:].encode("utf-8", "replace").decode("utf-8"))
        return (tags or self._prefix) + ids if ids else []

    def _encode(self, text: str) -> list[int]:
        return list(self._processor.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, on one line."""
        text: str = self._processor.decode([i for i in ids if i not in self._hidden])
        return " ".join(text.split())


class _Table(_Vocabulary):
    """The vocabulary of an imported model: a sentencepiece model with ids of its own, and language tokens.

    Args:
        content: of ``vocabulary.source.json`` or ``vocabulary.target.json``.
    """

    _tag = re.compile(r"^(>>[^<>\s]+<<)")  # a single one

    def __init__(self, content: bytes) -> None:
        table = json.loads(content)
        special = (*(table[name] for name in ("pad", "sos", "eos")), *table["hidden"], *table["languages"].values())
        super().__init__(base64.b64decode(table["sentencepiece"]), table["languages"], special)
        self._pieces, self._prefix, self._unk = table["pieces"], table["prefix"], table["unk"]
        self._ids = {piece: i for i, piece in enumerate(self._pieces) if i not in self._hidden}

    def _encode(self, text: str) -> list[int]:
        return [self._ids.get(piece, self._unk) for piece in self._processor.encode(text, out_type=str)]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode_pieces([self._pieces[i] for i in ids if i not in self._hidden])
        return " ".join(text.replace(SPACE, " ").split())


class _Shortlist:
    """The target ids that translations may have, which the file has as lists after their lengths."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        numbers = iter(np.fromfile(folder / SHORTLIST, dtype=config["shortlist"]).tolist())
        self._always, *self._of_token = [list(islice(numbers, length)) for length in numbers]
        self._size: int = config["target"]["size"]

    def __call__(self, sources: Sequence[Sequence[int]]) -> Array:
        """Returns the ids for the translations of sentences, ascending [C]; all ids without sentences."""
        if not sources:
            return np.arange(self._size)
        found = set(self._always).union(*(self._of_token[token] for token in set().union(*sources)))
        others = (token for token in range(self._size) if token not in found)
        return np.array(sorted([*found, *islice(others, -len(found) % MULTIPLE)]))


def load(folder: Path | str, num_threads: int = 0) -> "Model":
    """Returns the model of a folder that ``nmt export --to onnx`` wrote.

    Args:
        num_threads: threads of onnxruntime; 0 for one on each core.

    Raises:
        FolderError: a file is missing or damaged, or a package isn't installed.
    """
    return Model(Path(folder), num_threads)


class Model:
    """A translation model run by onnxruntime on the CPU; see :func:`load`."""

    def __init__(self, folder: Path, num_threads: int = 0) -> None:
        try:
            import onnxruntime

            self.config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
            if self.config.get("format") != "nmt-onnx" or self.config["version"] != FORMAT:
                raise ValueError("it is not an ONNX folder of this version of nmt")
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = num_threads, 3
            self._encoder, self._step = (
                onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
                for name in ("encoder.onnx", "step.onnx")
            )
            self._source, self._target = (self._vocabulary(folder, side) for side in ("source", "target"))
            self._first: int | None = self.config.get("first")
            self._shortlist = _Shortlist(folder, self.config) if self.config.get("shortlist") else None
        except ImportError as error:
            raise FolderError(f"{error}: pip install onnxruntime sentencepiece sentencex") from None
        except Exception as error:  # onnxruntime raises classes of its own, which derive from Exception alone
            raise FolderError(f"{folder} can't be loaded: {error}") from None
        self._memory = [output.name for output in self._encoder.get_outputs()]

    def translate(self, lines: Iterable[str], **options: Any) -> list[str]:
        """Returns the best translation of each line; options as in :meth:`stream`."""
        return list(self.stream(lines, **options))

    def stream(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """Translates any number of lines in constant memory; options as in :meth:`search`, and ``split_sentences``."""
        iterator, size = iter(lines), WINDOW * self._options(options)["batch_size"]
        while window := list(islice(iterator, size)):
            yield from self._translated(window, options)

    def _translated(self, lines: Sequence[str], options: Mapping[str, Any]) -> Iterator[str]:
        lines = [line.translate(INVISIBLE) for line in lines]
        divided, language = [[line] for line in lines], self.config["languages"][0]
        if self._options(options)["split_sentences"]:
            try:
                divided = [sentences_of_line(line, language, self._source.after_tags) for line in lines]
            except ImportError as error:
                raise FolderError(f"{error}: pip install sentencex, or give --no-split-sentences") from None
        encoded = [[self.encode(text)[: self.config["max_pieces"]] for text in texts] for texts in divided]
        found = iter(self.search([ids for of_line in encoded for ids in of_line if ids], **options))
        for line, of_line in zip(lines, encoded, strict=True):
            best = [next(found)[:1] if ids else [] for ids in of_line]
            yield side_by_side(self.decode(each[0].ids) if each else "" for each in best) if of_line else line

    def _vocabulary(self, folder: Path, side: str) -> _Vocabulary:
        options = self.config[side]
        content = (folder / options["file"]).read_bytes()
        if options["file"].endswith(".json"):
            return _Table(content)
        return _Vocabulary(content, options.get("tags", {}), options.get("hidden", ()))

    def encode(self, line: str) -> list[int]:
        """Returns the ids of a source line and of the tags or language tokens in front of it, without EOS."""
        return self._source.encode(line)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of target ids, on one line."""
        return self._target.decode(ids)

    def search(self, sources: Sequence[Sequence[int]], **options: Any) -> list[list[Hypothesis]]:
        """Returns the hypotheses of encoded sentences, best first, by beam search; a beam of 1 is greedy search.

        Args:
            sources: ids without EOS, none empty.
            options: ``beam_size``, ``batch_size``, ``length_penalty``, ``alpha``, ``early_stopping``,
                ``max_length_ratio``, ``max_length_extra`` and ``max_length``, as in a recipe of nmt; those of the
                folder are the defaults.

        Raises:
            FolderError: an unknown option.
        """
        chosen = self._options(options)
        order, size = sorted(range(len(sources)), key=lambda i: -len(sources[i])), chosen["batch_size"]
        results: list[list[Hypothesis]] = [[] for _ in sources]
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            for index, found in zip(chunk, _Beam(self, [sources[i] for i in chunk], chosen).run(), strict=True):
                results[index] = found
        return results

    def _options(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        defaults: dict[str, Any] = {"split_sentences": False} | self.config["decoding"]  # older folders don't name it
        if unknown := changes.keys() - defaults.keys():
            raise FolderError(f"unknown option {', '.join(sorted(unknown))}; known are {', '.join(defaults)}")
        chosen = defaults | {name: value for name, value in changes.items() if value is not None}
        if chosen["beam_size"] < 1 or chosen["batch_size"] < 1:
            raise FolderError("beam_size and batch_size must be 1 or more")
        for name, values in CHOICES.items():
            if chosen[name] not in values:
                raise FolderError(f"{name} is {chosen[name]!r}; it must be one of {', '.join(values)}")
        return chosen

    def score(self, source: Sequence[int], target: Sequence[int]) -> list[float]:
        """Returns the log-probability of each token of a given translation and of EOS."""
        memory, state = self.start([source], 1)
        scores, previous = [], self.config["target"]["sos"]
        for position, token in enumerate([*target, self.config["target"]["eos"]]):
            (log_p_BKV,), state = self.step(("log_probability",), np.array([[previous]]), position, memory, state)
            scores.append(float(_finite(log_p_BKV)[0, 0, token]))
            previous = token
        return scores

    def shortlist(self, sources: Sequence[Sequence[int]]) -> dict[str, Array]:
        """Returns the input of ``step.onnx`` with the ids for the translations of sentences, if there is one."""
        return {} if self._shortlist is None else {"shortlist": self._shortlist(sources)}

    def start(self, sources: Sequence[Sequence[int]], num_rows: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """Encodes sentences; returns what the step reads of each sentence, and the first state of ``num_rows``
        hypotheses of each."""
        special = self.config["source"]
        length_B = np.array([len(ids) + 1 for ids in sources])
        source_BS = np.full((len(sources), length_B.max()), special["pad"], dtype=np.int64)
        for row, ids in enumerate(sources):
            source_BS[row, : len(ids) + 1] = [*ids, special["eos"]]
        mask_BS = np.arange(source_BS.shape[1]) < length_B[:, None]
        memory = dict(zip(self._memory, self._encoder.run(None, {"source": source_BS, "mask": mask_BS}), strict=True))
        state = {
            name: np.zeros((len(sources), num_rows, *shape), dtype=np.float32)
            for name, shape in self.config["state"].items()
        }
        memory |= {"mask": mask_BS}
        if self._first is not None:  # some pretrained models read another token before SOS
            state = self.step((), np.full((len(sources), num_rows), self._first), -1, memory, state)[1]
        return memory, state

    def step(
        self, names: Sequence[str], token_BK: Array, position: int, memory: Arrays, state: Arrays, **search: Array
    ) -> tuple[list[Array], dict[str, Array]]:
        """Reads a token of each hypothesis.

        Args:
            names: outputs of ``step.onnx`` that are wanted.
            token_BK: ids; SOS at first.
            position: number of tokens read before, SOS counted.
            memory, state: from :meth:`start` or the step before.
            search: what :data:`BEST` depends on: ``score`` [B, K], log-probabilities of the hypotheses,
                ``at_limit`` [B], whether EOS is the only continuation, and of a model that has one the ``shortlist``
                [C]. Without it there are the log-probabilities of all tokens.

        Returns:
            These outputs, and the new state.
        """
        place = np.array(position + (self._first is not None))
        inputs = {"token": token_BK.astype(np.int64), "position": place, **memory, **state}
        inputs |= {"score": np.zeros(token_BK.shape, np.float32), "at_limit": np.zeros(len(token_BK), bool)}
        inputs |= search or self.shortlist(())
        found = self._step.run([*names, *(f"new.{name}" for name in state)], inputs)
        return found[: len(names)], dict(zip(state, found[len(names) :], strict=True))


def _finite(log_p: Array) -> Array:
    """Returns log-probabilities; raises FolderError if they are not finite, which no search could go on with."""
    if not np.isfinite(log_p).all():
        raise FolderError(NOT_FINITE)
    return log_p


class _Beam:
    """Beam search over a batch, as in ``nmt.decoding.beam``. Sentences leave the batch when they are done."""

    def __init__(self, model: Model, sources: Sequence[Sequence[int]], options: Mapping[str, Any]) -> None:
        self._model, self._options, self._size = model, options, int(options["beam_size"])
        self._memory, self._state = model.start(sources, self._size)
        self._shortlist = model.shortlist(sources)
        self._finished: list[list[Hypothesis]] = [[] for _ in sources]
        self._sentence_B = np.arange(len(sources))
        limits = np.array([int((len(ids) + 1) * options["max_length_ratio"]) for ids in sources])
        most = model.config["num_positions"] if options["max_length"] is None else options["max_length"] + 1
        self._limit_B = np.minimum(limits + options["max_length_extra"], min(most, model.config["num_positions"]))
        self._tokens_BKt = np.full((len(sources), self._size, 1), model.config["target"]["sos"])
        self._score_BK = np.full((len(sources), self._size), -np.inf, dtype=np.float32)
        self._score_BK[:, 0] = 0.0

    def run(self) -> list[list[Hypothesis]]:
        """Searches; returns the hypotheses of each sentence."""
        for position in range(max(1, *self._limit_B)):
            (end_BK, *best), self._state = self._model.step(
                BEST,
                self._tokens_BKt[:, :, -1],
                position,
                self._memory,
                self._state,
                score=self._score_BK,
                at_limit=position + 1 >= self._limit_B,
                **self._shortlist,
            )
            _finite(end_BK)
            self._select(self._advance(*best), ~self._is_done())
            if not len(self._sentence_B):
                break
        return self._finished

    def _advance(self, value_BC: Array, parent_BC: Array, token_BC: Array) -> Array:
        """Finishes what ends among the first K of the 2K best continuations, keeps the K best others, and returns
        their parents. [B, K]"""
        eos, size, length = self._model.config["target"]["eos"], self._size, self._tokens_BKt.shape[2]
        for b, k in zip(*np.nonzero((token_BC[:, :size] == eos) & (value_BC[:, :size] > -np.inf)), strict=True):
            ids, log_p = self._tokens_BKt[b, parent_BC[b, k], 1:].tolist(), float(value_BC[b, k])
            found = self._finished[self._sentence_B[b]]
            found.append(Hypothesis(ids, float(self._normalised(log_p, length)), log_p))
            found.sort(key=lambda each: -each.score)
            del found[size:]
        value_BC = np.where(token_BC == eos, -np.inf, value_BC)
        kept_BK = np.argsort(-value_BC, axis=1, kind="stable")[:, :size]
        self._score_BK = np.take_along_axis(value_BC, kept_BK, 1).astype(np.float32)
        parent_BK, token_BK = (np.take_along_axis(part, kept_BK, 1) for part in (parent_BC, token_BC))
        tokens_BKt = np.take_along_axis(self._tokens_BKt, parent_BK[:, :, None], 1)
        self._tokens_BKt = np.concatenate((tokens_BKt, token_BK[:, :, None]), axis=2)
        return parent_BK

    def _is_done(self) -> Array:
        """Whether a sentence has all the finished hypotheses that it needs. [B]"""
        best_B, size, length = self._score_BK.max(1), self._size, self._tokens_BKt.shape[2] - 1
        found = [self._finished[sentence] for sentence in self._sentence_B]
        first_B = np.array([each[0].score if each else -np.inf for each in found])
        last_B = np.array([each[-1].score if len(each) == size else -np.inf for each in found])
        enough_B = np.isfinite(last_B)
        if self._options["early_stopping"] == "exact":
            enough_B &= self._normalised(best_B, self._limit_B) <= last_B
        elif self._options["early_stopping"] == "likely":
            enough_B &= self._normalised(best_B, length) <= first_B
        done_B: Array = enough_B | np.isneginf(best_B)
        return done_B

    def _select(self, parent_BK: Array, stay_B: Array) -> None:
        """Continues the chosen hypotheses of the sentences that stay."""
        rows = np.nonzero(stay_B)[0]
        for name, part in self._state.items():
            self._state[name] = part[rows[:, None], parent_BK[rows]]
        if len(rows) < len(stay_B):
            self._memory = {name: part[rows] for name, part in self._memory.items()}
            for name in ("_sentence_B", "_limit_B", "_tokens_BKt", "_score_BK"):
                setattr(self, name, getattr(self, name)[rows])

    def _normalised(self, log_probability: Any, length: Any) -> Any:
        """Returns scores under the length penalty."""
        return LENGTH_PENALTIES[self._options["length_penalty"]](log_probability, length, self._options["alpha"])


def main() -> None:
    """Translates the lines of standard input."""
    parser = argparse.ArgumentParser(description="Translate the lines of standard input with an ONNX folder.")
    own = Path(__file__).resolve().parent
    default = own if (own / "config.json").exists() else None
    parser.add_argument("folder", type=Path, nargs="?" if default else None, default=default, help="exported folder")
    parser.add_argument("--beam-size", type=int, help="hypotheses of each sentence; 1 is greedy search")
    parser.add_argument("--batch-size", type=int, help="sentences that are translated at once")
    parser.add_argument("--split-sentences", action=argparse.BooleanOptionalAction, help="divide lines into sentences")
    parser.add_argument("--threads", type=int, default=0, help="threads of onnxruntime; 0 for one on each core")
    options = vars(parser.parse_args())
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    try:
        model = load(options.pop("folder"), options.pop("threads"))
        lines = (line.rstrip("\r\n") for line in sys.stdin)
        for text in model.stream(lines, **options):
            print(text, flush=True)
    except (FolderError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the program that reads the translations has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would write there again as it ends
        sys.exit(141)


if __name__ == "__main__":
    main()
