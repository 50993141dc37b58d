"""chrF++, which is the better guide where a language has little data or many word forms."""

from nmt.metrics.table import SacreBleuMetric


class ChrfWords(SacreBleuMetric):
    """chrF2++: chrF2 with n-grams of words up to 2 (Popović 2017)."""

    name, kind = "chrF2++", "CHRF"

    def __init__(self, tokenize: str | None = None) -> None:
        from sacrebleu.metrics.chrf import CHRF

        super().__init__()
        self.implementation = self._by_sentence = CHRF(word_order=2)
