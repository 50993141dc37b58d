"""The weights of pieces where a trained model gets another vocabulary."""

import re
from operator import attrgetter

from torch import Tensor, nn

from nmt.core.console import say
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import OutputLayer
from nmt.models.seq2seq import Seq2Seq


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
