"""Which passages of a workspace may answer a question: BM25 over words, and hashed n-grams for words that are not quite the same.

An `Index` holds numbers, not texts: per term one array of passages and counts. It grows and shrinks by whole documents, so that
a new document costs what it holds and not what the workspace holds. Pure; not thread-safe (its owner locks).
Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from server.workspaces.documents.words import content_terms, is_common, is_name, ngrams, raw_words, stem, synonyms, terms, whole_of

__all__ = ["Asked", "Index", "Meaning", "asked_of"]

K1 = 1.2
B = 0.3
HEADING_COUNTS = 3  # a word in the heading is worth so many in the text
NAME_COUNTS = 1
MAX_COUNT = 63  # six bits of a posting
SYNONYM_WEIGHT = 0.35
ONLY_SYNONYM_WEIGHT = 0.65  # of a word that the passages never use themselves
ALIKE_WEIGHT = 0.8
ALIKE = 0.72  # cosine of two words' n-grams above which they count as forms of one
ALIKE_CHARS = 5
JOINED_WEIGHT = 0.9
MAX_ALIKE = 6
COMMON_WEIGHT = 0.35
UNKNOWN_COMMON_WEIGHT = 0.12
PART_WEIGHT = 0.4
UNKNOWN_WEIGHT = 0.7
NAME_WEIGHT = 1.4
MAX_QUESTION_TERMS = 40


@dataclass(frozen=True, slots=True)
class Meaning:
    """A word of a question. weight: how much it says. forms: terms that stand for it, with what each is worth (itself 1)."""

    term: str
    weight: float
    forms: dict[str, float]
    is_known: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read against an index."""

    text: str
    meanings: tuple[Meaning, ...]


class Index:
    """The passages of one workspace, by term."""

    def __init__(self) -> None:
        self._postings: dict[str, array[int]] = {}
        self._alike: dict[int, array[int]] = {}
        self._vocabulary: list[str] = []
        self._lengths = array("H")
        self._keys: list[Any] = []
        self._documents: dict[Hashable, range] = {}
        self._dead: set[int] = set()
        self._total_length = 0

    @property
    def documents(self) -> frozenset[Hashable]:
        """The documents it holds."""
        return frozenset(self._documents)

    @property
    def passages(self) -> int:
        """How many passages can be found."""
        return len(self._keys) - len(self._dead)

    @property
    def size(self) -> int:
        """How many passages it keeps in memory, removed ones included."""
        return len(self._keys)

    @property
    def waste(self) -> float:
        """The share of it that removed documents still take; a new index has none."""
        return len(self._dead) / len(self._keys) if self._keys else 0.0

    def add(self, document: Hashable, name: str, passages: Iterable[tuple[Hashable, str, str]]) -> None:
        """Take in a document: its passages as (key, heading, text)."""
        first = len(self._keys)
        for key, heading, text in passages:
            self._add_passage(key, name, heading, text)
        self._documents[document] = range(first, len(self._keys))

    def remove(self, document: Hashable) -> None:
        """Let a document not be found any more; what it takes is freed with the index."""
        for number in self._documents.pop(document):
            self._dead.add(number)
            self._total_length -= self._lengths[number]

    def knows(self, term: str) -> bool:
        """Whether a passage holds the term, or held it."""
        return term in self._postings

    def rarity(self, term: str) -> float:
        """How much a term tells: the BM25 inverse document frequency, greatest for a term that no passage holds."""
        found = len(self._postings.get(term, ()))
        count = max(len(self._keys), found + 1)
        return math.log(1 + (count - found + 0.5) / (found + 0.5))

    def best(self, asked: Asked, limit: int) -> list[tuple[Any, float]]:
        """The keys of the passages that fit best, best first, with their BM25 score."""
        scores: dict[int, float] = {}
        for meaning in asked.meanings:
            self._score(meaning, scores)
        living = ((score, -number) for number, score in scores.items() if number not in self._dead)
        return [(self._keys[-number], score) for score, number in heapq.nlargest(limit, living)]

    def alike(self, term: str) -> dict[str, float]:
        """Terms of the passages that are written much like this one, with how much (their n-grams' cosine)."""
        if len(term) < ALIKE_CHARS or term.isdigit():
            return {}
        mine = set(ngrams(term))
        shared = Counter(number for gram in mine for number in self._alike.get(gram, ()))
        close: list[tuple[float, str]] = []
        for number, count in shared.items():
            other = self._vocabulary[number]
            cosine = count / math.sqrt(len(mine) * len(set(ngrams(other))))
            if cosine >= ALIKE and other != term and other[0] == term[0]:
                close.append((cosine, other))
        return {other: cosine for cosine, other in heapq.nlargest(MAX_ALIKE, close)}

    def _add_passage(self, key: Hashable, name: str, heading: str, text: str) -> None:
        number = len(self._keys)
        prose, code = _prose_and_code(text)
        counts = Counter(terms(prose))
        for term in set(terms(code)):
            counts[term] += 1
        self._lengths.append(min(sum(counts.values()), 65_535))
        self._total_length += self._lengths[-1]
        for term in terms(heading):
            counts[term] += HEADING_COUNTS
        for term in terms(name):
            counts[term] += NAME_COUNTS
        for term, count in counts.items():
            postings = self._postings.get(term)
            if postings is None:
                postings = self._new_term(term)
            postings.append(number << 6 | min(count, MAX_COUNT))
        self._keys.append(key)

    def _new_term(self, term: str) -> array[int]:
        postings = self._postings[term] = array("I")
        if len(term) >= ALIKE_CHARS and not term.isdigit():
            for gram in set(ngrams(term)):
                self._alike.setdefault(gram, array("I")).append(len(self._vocabulary))
            self._vocabulary.append(term)
        return postings

    def _score(self, meaning: Meaning, scores: dict[int, float]) -> None:
        """Add what one word of the question is worth to each passage: its best form there counts, not their sum."""
        mean_length = self._total_length / max(1, self.passages) or 1.0
        best: dict[int, float] = {}
        for form, worth in meaning.forms.items():
            factor = worth * min(meaning.weight, self.rarity(form) * (1.0 if worth == 1.0 else 1.2)) * (K1 + 1)
            for posting in self._postings.get(form, ()):
                number, count = posting >> 6, posting & MAX_COUNT
                gain = factor * count / (count + K1 * (1 - B + B * self._lengths[number] / mean_length))
                if gain > best.get(number, 0.0):
                    best[number] = gain
        for number, gain in best.items():
            scores[number] = scores.get(number, 0.0) + gain


def _prose_and_code(text: str) -> tuple[str, str]:
    """A passage's sentences, and what stands in its code: there a word counts once, however often it is repeated."""
    pieces = text.split("```")
    return "\n".join(pieces[::2]), "\n".join(pieces[1::2])


def asked_of(index: Index, question: str) -> Asked:
    """The question's words with their weight and their other forms, as far as the index knows them."""
    joined = _joined_pairs(index, question)
    names = _names(question)
    wanted = list(_terms_asked(index, question).items())[:MAX_QUESTION_TERMS]
    return Asked(question, tuple(_meaning(index, term, parts, joined.get(term), term in names) for term, parts in wanted))


def _names(question: str) -> frozenset[str]:
    """The terms that are written with a capital, but for the first word: an answer has to be about these."""
    return frozenset(term for word in raw_words(question)[1:] if word[:1].isupper() for term in terms(word))


def _terms_asked(index: Index, question: str) -> dict[str, tuple[str, ...]]:
    """The question's terms. A compound is its whole if the passages write it so (its parts then stand for it), else its parts."""
    parts_of: dict[str, tuple[str, ...]] = {}
    dropped: set[str] = set()
    for word in raw_words(question):
        own = terms(word)
        if len(own) < 2 or is_name(word) or own[-1] != whole_of(word):
            continue
        if index.knows(own[-1]):
            parts_of[own[-1]] = tuple(own[:-1])
            dropped.update(own[:-1])
        elif any(index.knows(part) for part in own[:-1]):
            dropped.add(own[-1])
    return {term: parts_of.get(term, ()) for term in content_terms(question) if term not in dropped}


def _joined_pairs(index: Index, question: str) -> dict[str, str]:
    """For words of the question that the passages write together with the next (`time out`, `web socket`): how they do."""
    words = [word.lower() for word in raw_words(question)]
    joined: dict[str, str] = {}
    for first, second in pairwise(words):
        whole = stem(first + second)
        if len(whole) > 4 and index.knows(whole):
            joined.update({stem(first): whole, stem(second): whole})
    return joined


def _meaning(index: Index, term: str, parts: tuple[str, ...], joined: str | None, is_a_name: bool) -> Meaning:
    is_known = index.knows(term)
    similar = [other for other in synonyms(term) if index.knows(other)]
    forms = dict.fromkeys(similar, SYNONYM_WEIGHT if is_known else ONLY_SYNONYM_WEIGHT)
    forms.update({other: ALIKE_WEIGHT * cosine for other, cosine in index.alike(term).items()})
    forms.update(dict.fromkeys(parts, PART_WEIGHT))
    if joined is not None:
        forms[joined] = JOINED_WEIGHT
    forms[term] = 1.0
    share = 1.0
    if is_a_name:
        share = NAME_WEIGHT
    elif is_common(term):
        share = COMMON_WEIGHT if is_known or similar else UNKNOWN_COMMON_WEIGHT
    elif not is_known:
        share = UNKNOWN_WEIGHT
    return Meaning(term, _rarity(index, term, similar) * share, forms, is_known)


def _rarity(index: Index, term: str, similar: list[str]) -> float:
    """Of a term, or where the passages have other words for it, of the rarest of these."""
    if index.knows(term) or not similar:
        return index.rarity(term)
    return max(index.rarity(other) for other in similar)
