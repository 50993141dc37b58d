"""Measures translations of single words, titles, capitals, lines without a full stop and lines of several sentences.

    python tools/experiments/short_quality.py runs/de-en ../shared/data/multi30k --lexicon runs/de-en/lexicon.tsv

The lines of the part are changed by the modifiers of training, together with their references. ``of normal`` is the
chrF in relation to that of the lines as they are. Single words are those of the part's sources with at least four
letters whose likeliest translation in the lexicon has a probability of at least 0.6, as they are written within a
sentence. A translation is right if the lexicon gives it a probability of at least 0.1; case and punctuation are
ignored. With ``--dictionary``, the lexicon that the model was trained with, words that it lacks are counted apart.
``--keep-case`` translates capitals and titles as they are.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from nmt.alignment.lexicon import Lexicon
from nmt.data.words import Words
from nmt.extensions.augmentation.lexicon import LexiconText
from nmt.extensions.augmentation.modifiers import modified
from nmt.metrics.table import METRICS
from nmt.translation.load import load
from nmt.translation.translator import Translator

AS_IT_IS = "as it is"
KINDS = (AS_IT_IS, "upper_case", "title_case", "no_end_punctuation", "join")
MIN_LETTERS, MIN_PROBABILITY = 4, 0.1
Pair = tuple[str, str]


def single_words(sources: Sequence[str], path: Path, languages: tuple[str, str]) -> dict[str, set[str]]:
    """Returns the words of the sources that can be tested alone, with their right translations in lower case."""
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for source in sources:
        for word in Words.split_punctuation(source).words[1:]:
            forms[word.lower()][word] += 1
    counts = dict(Lexicon.load(path).items())
    found = {}
    for word, _ in LexiconText.open(LexiconText.Options(path=path), "train", languages):
        if word in forms and sum(map(str.isalpha, word)) >= MIN_LETTERS:
            least = MIN_PROBABILITY * sum(counts[word].values())
            found[forms[word].most_common(1)[0][0]] = {t for t, count in counts[word].items() if count >= least}
    return found


def share_right(model: Translator, words: dict[str, set[str]], keep_case: bool) -> str:
    """Returns how many single words are translated as the lexicon does."""
    found = model.translate(list(words), restore_case=not keep_case)
    right = [" ".join(Words.split_punctuation(t.text.lower()).words).strip(" .!?") in words[t.source] for t in found]
    wrong = [f"{t.source} = {t.text}" for t, is_right in zip(found, right, strict=True) if not is_right]
    print(f"  wrong: {'; '.join(random.Random(1).sample(wrong, min(len(wrong), 12)))}", flush=True)
    return f"{sum(right) / max(len(right), 1):.1%} of {len(right)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("data", type=Path, help="folder with the files PART.SOURCE and PART.TARGET")
    parser.add_argument("--lexicon", type=Path, required=True)
    parser.add_argument("--dictionary", type=Path)
    parser.add_argument("--part", default="val")
    parser.add_argument("--keep-case", action="store_true")
    given = parser.parse_args()
    model = load(given.model_dir, "cpu")
    languages = model.recipe.data.source, model.recipe.data.target
    texts = [(given.data / f"{given.part}.{side}").read_text("utf-8").splitlines() for side in languages]
    pairs: list[Pair] = list(zip(*texts, strict=True))
    normal = 0.0
    print("| text | BLEU | chrF | of normal |\n| --- | --- | --- | --- |")
    for kind in KINDS:
        changed = pairs if kind == AS_IT_IS else modified(kind, pairs, 1)
        found = [t.text for t in model.translate([s for s, _ in changed], restore_case=not given.keep_case)]
        scores = [METRICS[name]().corpus_score(found, [[t for _, t in changed]]).score for name in ("bleu", "chrf")]
        normal = normal or scores[1]
        print(
            f"| {kind.replace('_', ' ')} | {scores[0]:.2f} | {scores[1]:.2f} | {scores[1] / normal:.3f} |", flush=True
        )
    words = single_words(texts[0], given.lexicon, languages)
    known = dict(Lexicon.load(given.dictionary).items()) if given.dictionary else words
    for name, is_known in (("single words", True), ("single words that the dictionary lacks", False)):
        chosen = {w: right for w, right in words.items() if (w.lower() in known or w in known) == is_known}
        if chosen:
            print(f"{name}: {share_right(model, chosen, given.keep_case)} right")


if __name__ == "__main__":
    main()
