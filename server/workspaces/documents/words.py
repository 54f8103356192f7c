"""Text as terms: what of a sentence is compared when a question is held against a passage. Pure, nothing downloaded.

A word becomes its stem, without case and accents; a compound (`DATA_DIR`, `e-mail`, `newRun`) becomes its parts and the whole;
writing without spaces (Chinese, Japanese, Korean) becomes pairs of characters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from collections.abc import Iterator

from server.workspaces.documents.vocabulary import COMPARED, STOP_WORDS, common_words, synonym_lines

__all__ = ["content_terms", "is_common", "is_name", "ngrams", "raw_words", "stem", "synonyms", "terms", "whole_of"]

MAX_TERM_CHARS = 40  # longer ones are keys, hashes and pictures in text, which nobody asks for
NGRAM_BUCKETS = 1 << 16

_RUN = re.compile(r"\w+(?:[.'’\-](?!s\b)\w+)*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLURAL_OF_CAPITALS = re.compile(r"[A-Z]{2,}s")
_FOREIGN_PART = re.compile(r"\d+|[^\W\d_]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def raw_words(text: str) -> list[str]:
    """The words as they are written, compounds in one piece."""
    return _RUN.findall(text)


def terms(text: str) -> list[str]:
    """The terms of a text, in order; stop words are kept, for the caller to judge."""
    return [term for word in _RUN.findall(text) for term in _terms_of(word)]


def content_terms(question: str) -> list[str]:
    """The distinct terms that carry a question's meaning, in order: without the stop words of the language it is asked in.

    Of a name in one piece (`MySQL`) the whole, for its parts mean something else; of other compounds the parts, then the whole.
    """
    stop = STOP_WORDS[_language(question)]
    found: dict[str, None] = {}
    for word in _RUN.findall(question):
        if _plain(word) not in stop:
            own = _terms_of(word)
            found.update(dict.fromkeys(term for term in (own[-1:] if is_name(word) else own) if term not in stop))
    return list(found)


def is_name(word: str) -> bool:
    """Whether a word is written in one piece with capitals inside, as names are."""
    is_in_capitals = word.isupper() or _PLURAL_OF_CAPITALS.fullmatch(word)
    return word.isascii() and word.isalpha() and not is_in_capitals and word[1:] != word[1:].lower()


def is_common(term: str) -> bool:
    """Whether the term is a word that people use to ask, and that says little about what they ask for."""
    return term in _common_stems()


def synonyms(term: str) -> frozenset[str]:
    """Terms that say much the same; never the term itself."""
    return _synonym_table().get(term, frozenset())


def whole_of(word: str) -> str:
    """A compound written in one piece: `DATA_DIR` as `datadir`."""
    return "".join(char for char in _plain(word) if char.isalnum())


@functools.lru_cache(maxsize=65_536)
def ngrams(term: str) -> tuple[int, ...]:
    """The term's hashed character trigrams, its beginning marked, its end not: words that begin alike are alike."""
    marked = f"^{term}"
    return tuple(zlib.crc32(marked[i : i + 3].encode()) % NGRAM_BUCKETS for i in range(max(1, len(marked) - 2)))


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A lower-case English word without its endings (`configured`, `configuration`, `configures` are one); others as they are."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word in COMPARED:
        return stem(COMPARED[word])
    word = _without_plural(word)
    word = _without_verb_ending(word)
    for ending, shortest in (("ment", 5), ("ness", 4), ("ably", 4), ("able", 4), ("ible", 4), ("ly", 4)):
        if word.endswith(ending) and len(word) - len(ending) >= shortest:
            word = word[: -len(ending)]
            break
    if word.endswith(("tion", "sion")) and len(word) > 5:
        word = word[:-3]
    elif word.endswith(("ator", "ctor")) and len(word) > 6:
        word = word[:-2]
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if word.endswith("at") and len(word) > 6:
        word = word[:-2]
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiousz":
        word = word[:-1]
    return word[:-1] + "s" if len(word) > 5 and word.endswith("iz") else word


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and word != "https":
        return word[:-1]
    return word


def _without_verb_ending(word: str) -> str:
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and re.search("[aeiouy]", rest):
            return rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
    return word


@functools.lru_cache(maxsize=65_536)
def _terms_of(word: str) -> tuple[str, ...]:
    if _PLURAL_OF_CAPITALS.fullmatch(word):
        word = word[:-1]
    if word.isascii() and word.isalpha() and (word.islower() or word[1:].islower() or word.isupper()):
        return (stem(word.lower()),) if len(word) <= MAX_TERM_CHARS else ()
    parts = [part.lower() for part in _PART.findall(word)] if word.isascii() else _FOREIGN_PART.findall(_plain(word))
    found = list(_pieces(parts))
    if len(parts) > 1 and not _WIDE.search(word):
        found = [term for term in found if len(term) > 1 or term.isdigit()] + ["".join(parts)]
    return tuple(term for term in dict.fromkeys(found) if len(term) <= MAX_TERM_CHARS)


def _pieces(parts: list[str]) -> Iterator[str]:
    for part in parts:
        if not _WIDE.search(part):
            yield stem(part)
        elif len(part) == 1:
            yield part
        else:
            yield from (part[i : i + 2] for i in range(len(part) - 1))


def _plain(word: str) -> str:
    return _without_accents(word).casefold()


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    composed = unicodedata.normalize("NFKD", word)
    return unicodedata.normalize("NFC", "".join(char for char in composed if unicodedata.category(char) != "Mn"))


def _language(question: str) -> str:
    words = {_plain(word) for word in _RUN.findall(question)}
    return max(STOP_WORDS, key=lambda language: len(words & STOP_WORDS[language]))


@functools.lru_cache(maxsize=1)
def _common_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in common_words())


@functools.lru_cache(maxsize=1)
def _synonym_table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in synonym_lines():
        asked, _, written = line.rpartition(":")
        others = _stems(written)
        for one in _stems(asked) or others:
            table.setdefault(one, set()).update(others - {one})
    return {term: frozenset(others) for term, others in table.items()}


def _stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split()) - STOP_WORDS["en"]
