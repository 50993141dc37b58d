"""New subwords and symbols for trained vocabularies, and the weights of a model that gets another vocabulary."""

import re
import struct
from collections.abc import Iterable, Sequence
from operator import attrgetter

from torch import Tensor, nn

from nmt.core.console import progress_bar, say
from nmt.core.errors import UserError
from nmt.data.sources import ParallelText
from nmt.data.vocabulary.base import SPACE, SPECIALS, TERM, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.sentencepiece import BpeVocabulary, SentencePieceVocabulary, UnigramVocabulary
from nmt.models.contracts import OutputLayer
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.training.data import Sample, symbols_of

DIGITS = frozenset("0123456789")
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # types of pieces in sentencepiece's ModelProto


def with_new_pieces(recipe: Recipe, vocabularies: Vocabularies, texts: Sequence[ParallelText]) -> Vocabularies:
    """Adds pieces and symbols of corpora with new ones to a trained vocabulary; ``texts`` are of ``data.corpora``."""
    chosen = [(corpus, text) for corpus, text in zip(recipe.data.corpora, texts, strict=True) if corpus.new_pieces]
    with progress_bar("adding to the vocabulary", None):
        corpora, new_texts = zip(*chosen, strict=True)
        sample = Sample(new_texts, [corpus.weight for corpus in corpora], seed=recipe.seed)
        extended = extend_vocabularies(vocabularies, recipe.vocabulary, sample, *symbols_of(corpora))
    added = len(extended.source) - len(vocabularies.source)
    say(f"added {added:,} pieces of {', '.join(corpus.name for corpus in corpora)} to the vocabulary")
    return extended


def extend_vocabularies(
    vocabularies: Vocabularies,
    options: VocabularyOptions,
    pairs: Iterable[tuple[str, str]],
    tags: Sequence[str] = (),
    terms: bool = False,
) -> Vocabularies:
    """Adds the subwords of further text to trained vocabularies; the present pieces keep their ids.

    Arguments are those of :func:`nmt.data.vocabulary.files.train_vocabularies`; ``size`` of the options is the maximum
    number of pieces in all. Raises UserError if a vocabulary isn't one of subwords, or has ``size`` pieces already.
    """
    specials = (*tags, *TERM * terms)
    if vocabularies.joint:
        joint = _extended(vocabularies.source, (side for pair in pairs for side in pair), options, specials)
        return Vocabularies(joint, joint)
    return Vocabularies(
        _extended(vocabularies.source, (source for source, _ in pairs), options, specials),
        _extended(vocabularies.target, (target for _, target in pairs), options, ()),
    )


def _extended(
    vocabulary: Vocabulary, lines: Iterable[str], options: VocabularyOptions, specials: Sequence[str]
) -> Vocabulary:
    if not isinstance(vocabulary, SentencePieceVocabulary) or max(map(len, scores := vocabulary.scores())) == 1:
        raise UserError(
            "data.corpora: new_pieces needs a trained vocabulary of subwords.",
            "Leave new_pieces out, and set training.new_vocabulary to true.",
        )
    if len(vocabulary) >= options.size:
        raise UserError(
            f"The trained vocabulary has {len(vocabulary):,} pieces, and vocabulary.size is {options.size:,}.",
            "Give vocabulary.size the number of pieces that it may have with the new ones.",
        )
    kind = BpeVocabulary if all(map(float.is_integer, scores.values())) else UnigramVocabulary
    digits = [len(piece) for piece in scores if not DIGITS.isdisjoint(piece)]
    # A piece of several digits would divide the numbers of the old text otherwise than the model has learned.
    split = options.split_digits or max(digits, default=0) == 1
    wanted = options.model_copy(update={"size": options.size - len(vocabulary) + len(SPECIALS), "split_digits": split})
    learned = kind.learn(lines, wanted, (), "the corpora with new_pieces", is_limit=True)
    # In BPE the later merges have the lower scores, and the new ones come after all others.
    offset = min(scores.values()) if kind is BpeVocabulary else 0.0
    added = [(piece, offset + score, NORMAL) for piece, score in learned.scores().items()]
    added += [(symbol, 0.0, USER_DEFINED if symbol in TERM else CONTROL) for symbol in specials]
    known = set(map(vocabulary.token, range(len(vocabulary))))
    # A message of protobuf is extended by appending entries of its repeated fields.
    new = b"".join(_entry(*entry) for entry in added if entry[0] not in known)
    return type(vocabulary)(vocabulary.sentencepiece_model + new)


def _entry(piece: str, score: float, kind: int) -> bytes:
    """Returns an entry of ``pieces``, the first field of sentencepiece's ModelProto: its piece, score and type."""
    text = piece.encode()
    content = b"\x0a" + _varint(len(text)) + text + b"\x15" + struct.pack("<f", score) + b"\x18" + _varint(kind)
    return b"\x0a" + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Returns a number as protobuf writes it: 7 bits in a byte, the lowest first."""
    low, high = number & 0x7F, number >> 7
    return bytes([low]) if not high else bytes([low | 0x80]) + _varint(high)


def carry_over(
    trained: dict[str, Tensor], model: Seq2Seq, new: Vocabularies, old: Vocabularies, spells_new: bool
) -> None:
    """Converts embeddings and output layer of a trained model to another vocabulary, in place.

    A piece that the old vocabulary has keeps its row; another begins as the mean of the old pieces that spell it
    (Gee et al. 2022, "Fast Vocabulary Transfer for Language Model Compression") or, without any, as it is.
    """
    sides = {"encoder": (new.source, old.source), "decoder": (new.target, old.target)}
    rows_of = {part: _parents(*vocabularies, spells_new) for part, vocabularies in sides.items()}
    for path, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            name, part = f"{path}.{own}", path.partition(".")[0]
            # The table of an embedding, whose module has the path embedding.table, or the output layer.
            if isinstance(module, nn.Embedding | OutputLayer) and name in trained:
                rows = parameter.detach().clone()
                if rows.shape[1:] == trained[name].shape[1:]:
                    for row, parents in enumerate(rows_of[part]):
                        rows[row] = trained[name][parents].mean(dim=0) if parents else rows[row]
                trained[name] = rows
    shares = [
        sum(new.token(i) in tokens for i in range(len(new))) / len(new)
        for new, tokens in ((n, set(map(o.token, range(len(o))))) for n, o in sides.values())
    ]
    say(f"another vocabulary: {shares[0]:.0%} of the source pieces and {shares[1]:.0%} of the target pieces are known")


def _parents(new: Vocabulary, old: Vocabulary, spells_new: bool) -> list[list[int]]:
    """Returns, for each id of a vocabulary, the ids of another one whose rows initialise it."""
    known = {old.token(i): [i] for i in range(len(old))}
    known |= {new.token(of(new)): [of(old)] for of in map(attrgetter, ("pad", "unk", "sos", "eos"))}
    parents = []
    for token in map(new.token, range(len(new))):
        is_spelled = spells_new and not (old.is_closed or re.fullmatch("<.*>", token))  # a symbol or a byte
        spelling = old.encode(token.replace(SPACE, " ")) if is_spelled else []
        parents.append(known.get(token) or [i for i in spelling if i != old.unk])
    return parents
