"""Text without accents: many people type Polish without them, and should be understood all the same."""

import unicodedata


def without_accents(text: str) -> str:
    """``text`` with every letter as plain as it gets: "żółw" becomes "zolw"."""
    decomposed = unicodedata.normalize("NFKD", text.replace("ł", "l").replace("Ł", "L"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def spellings(phrase: str) -> tuple[str, ...]:
    """``phrase`` as it is written and, when that differs, without accents."""
    return tuple(dict.fromkeys((phrase, without_accents(phrase))))
