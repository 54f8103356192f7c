"""What a large workspace costs: indexing 500 documents of 20,000 passages, memory, and a question.

`python -m benchmarks.documents.scale [documents]` prints the figures.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import time

from server.workspaces.documents.ranking import Found, rank
from server.workspaces.documents.retrieval import Index, asked_of

PASSAGES_EACH = 40
WORDS_EACH = 130
VOCABULARY = 40_000
QUESTIONS = 200
CANDIDATES = 40


def main() -> None:
    """Build an index of made-up documents whose words are as unevenly common as in a language, and ask it."""
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    dice = random.Random(7)
    words = ["".join(dice.choice("aeiourstlnmdc") for _ in range(dice.randint(3, 11))) for _ in range(VOCABULARY)]
    shares = [1 / (rank_ + 10) for rank_ in range(VOCABULARY)]
    texts = [[" ".join(dice.choices(words, shares, k=WORDS_EACH)) + "." for _ in range(PASSAGES_EACH)] for _ in range(documents)]
    before = _resident_mb()
    index = Index()
    began = time.perf_counter()
    for number, passages in enumerate(texts):
        index.add(number, f"document-{number}.md", [((number, at), words[number], text) for at, text in enumerate(passages)])
    built_s = time.perf_counter() - began
    took = [_ask(index, texts, words, dice) for _ in range(QUESTIONS)]
    one_ms = _add_one(index, texts[0])
    print(f"passages {index.passages}, built in {built_s:.1f} s, {_resident_mb() - before:.0f} MB")
    print(f"question p50 {statistics.median(took):.1f} ms, p95 {sorted(took)[int(QUESTIONS * 0.95)]:.1f} ms")
    print(f"one more document {one_ms:.1f} ms")


def _ask(index: Index, texts: list[list[str]], words: list[str], dice: random.Random) -> float:
    question = "how do I " + " ".join([*dice.sample(words[:2000], 4), *dice.sample(words, 3)])
    began = time.perf_counter()
    asked = asked_of(index, question)
    best = index.best(asked, CANDIDATES)
    rank(asked, [(Found(str(key), "", f"document-{key[0]}.md", "", None, key[1], texts[key[0]][key[1]]), bm25) for key, bm25 in best], 8)
    return (time.perf_counter() - began) * 1000


def _add_one(index: Index, passages: list[str]) -> float:
    began = time.perf_counter()
    index.add("new", "new.md", [(("new", at), "", text) for at, text in enumerate(passages)])
    return (time.perf_counter() - began) * 1000


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
