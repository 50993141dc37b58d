"""English names of languages, and their identification."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.core.compression import uncompressed
from nmt.core.errors import UserError
from nmt.core.files import explained

if TYPE_CHECKING:
    from nmt.recipe.schema import DataOptions

_NAMES = (
    "af Afrikaans,am Amharic,ar Arabic,az Azerbaijani,be Belarusian,bg Bulgarian,bn Bengali,bs Bosnian,ca Catalan,"
    "ceb Cebuano,cs Czech,cy Welsh,da Danish,de German,el Greek,en English,eo Esperanto,es Spanish,et Estonian,"
    "eu Basque,fa Persian,fi Finnish,fo Faroese,fr French,fy Western Frisian,ga Irish,gd Scottish Gaelic,"
    "gl Galician,gu Gujarati,ha Hausa,he Hebrew,hi Hindi,hr Croatian,hu Hungarian,hy Armenian,id Indonesian,"
    "ig Igbo,is Icelandic,it Italian,ja Japanese,jv Javanese,ka Georgian,kk Kazakh,km Khmer,kn Kannada,ko Korean,"
    "ku Kurdish,ky Kyrgyz,la Latin,lb Luxembourgish,lo Lao,lt Lithuanian,lv Latvian,mg Malagasy,mk Macedonian,"
    "ml Malayalam,mn Mongolian,mr Marathi,ms Malay,mt Maltese,my Burmese,nb Norwegian,ne Nepali,nl Dutch,"
    "nn Norwegian Nynorsk,no Norwegian,oc Occitan,pa Punjabi,pb Portuguese (Brazil),pl Polish,ps Pashto,"
    "pt Portuguese,ro Romanian,ru Russian,rw Kinyarwanda,si Sinhala,sk Slovak,sl Slovenian,so Somali,sq Albanian,"
    "sr Serbian,st Sesotho,su Sundanese,sv Swedish,sw Swahili,ta Tamil,te Telugu,tg Tajik,th Thai,tl Tagalog,"
    "tr Turkish,uk Ukrainian,ur Urdu,uz Uzbek,vi Vietnamese,xh Xhosa,yi Yiddish,yo Yoruba,zh Chinese,"
    "zt Chinese (traditional),zu Zulu"
)
NAMES = dict(entry.split(" ", 1) for entry in _NAMES.split(","))
"""English names of languages by code (ISO 639, and those of LibreTranslate for variants)."""
CODES = {name.lower(): code for code, name in NAMES.items()}  # by these names in small letters
DETECTED_AS = {"pb": "pt", "zt": "zh", "nb": "no"}  # names of py3langid for some codes


def name_of(code: str) -> str:
    """Returns the English name of a language, or the code if no name is known."""
    return NAMES.get(code, code)


def check_language(path: Path | str, data: "DataOptions") -> None:
    """Raises UserError if the name of a file to translate ends in the language that the model translates into."""
    if data.source != data.target and uncompressed(path).suffix == f".{data.target}":
        raise UserError(
            f"{path} seems to be {data.target}, but the model translates from {data.source} to {data.target}.",
            f"Name a model that translates from {data.target}, or the file in {data.source}.",
        )


@cache
def language_identifier() -> Any:
    """Returns the identifier of py3langid (Lui & Baldwin 2012)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    with explained("A temporary file", "Free some space, or point the environment variable TMPDIR at another folder."):
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
