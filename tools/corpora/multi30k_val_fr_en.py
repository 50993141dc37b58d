"""Write the words of the 60 French-English pairs that ``multi30k_val_fr_en.links`` aligns.

    python tools/corpora/multi30k_val_fr_en.py FOLDER
    nmt align runs/fr-en val.tok.fr val.tok.en --tokenized -o links.pharaoh
    nmt aer links.pharaoh tools/corpora/multi30k_val_fr_en.links

FOLDER has ``val.fr`` and ``val.en`` of Multi30k, whose first 60 lines were annotated word by word (776 sure and 114
possible links). A sure link joins words that translate each other; a possible one, such as between an English noun and
the French article it has no word for, is no error whether it is found or not. The text itself is not here.
"""

import re
import sys
from pathlib import Path

NUM_PAIRS = 60
WORDS = {"fr": r"\w+['’]|[\w-]+|[^\w\s]", "en": r"'s\b|[\w-]+|[^\w\s]"}
"""What is a word: an apostrophe belongs to the French word before it (d' hommes), and to the English ending ('s)."""

if __name__ == "__main__":
    for language, words in WORDS.items():
        lines = (Path(sys.argv[1]) / f"val.{language}").read_text("utf-8").split("\n")[:NUM_PAIRS]
        tokenized = (" ".join(re.findall(words, line)) for line in lines)
        Path(f"val.tok.{language}").write_text("".join(f"{line}\n" for line in tokenized), "utf-8")
