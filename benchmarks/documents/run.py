"""How good the documents agent is: 50 questions that the pages in `docs/` answer, and 10 that they do not.

`python -m benchmarks.documents.run [-v] [--practice]` prints the figures, and with `-v` what went wrong. A source is right if it is in
an expected document, under an expected heading. `--practice` asks the questions that the search was made with instead.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.documents.library import Library

ROOT = Path(__file__).parents[2]
QUESTIONS = Path(__file__).with_name("questions.json")
PRACTICE = Path(__file__).with_name("practice.json")
AGENT = ROOT / "server" / "bundled" / "documents" / "agent.py"


@dataclass(frozen=True)
class Outcome:
    """What became of one question. places: where an answer may come from, as (document, end of the heading); none: it is to be refused."""

    question: str
    places: tuple[tuple[str, str], ...]
    cited: tuple[tuple[str, str], ...]
    text: str

    @property
    def is_right(self) -> bool:
        """Whether the first source is an expected one, or the question was refused as it should be."""
        return self._fits(self.cited[:1]) if self.places else not self.cited

    @property
    def is_among_cited(self) -> bool:
        """Whether any of the sources is an expected one."""
        return self._fits(self.cited)

    def _fits(self, cited: Iterable[tuple[str, str]]) -> bool:
        return any(document == name and heading.endswith(end) for document, heading in cited for name, end in self.places)


def outcomes(path: Path = QUESTIONS) -> list[Outcome]:
    """Ask everything."""
    questions = json.loads(path.read_text())
    asked = [(each["question"], tuple((place["document"], place["heading"]) for place in each["answer"])) for each in questions]
    return asyncio.run(_ask(asked))


# Pages that were written after the questions: what these do not ask for on purpose may be answered there.
LATER = ("benchmarks.md", "langgraph-api.md", "langgraph-auth.md", "thread-protocol.md")


def library() -> Library:
    """The pages that the questions are about."""
    return Library(sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in LATER))


async def _ask(asked: list[tuple[str, tuple[tuple[str, str], ...]]]) -> list[Outcome]:
    graph = _agent().compile(store=library())
    made = []
    for question, places in asked:
        state = await graph.ainvoke({"messages": [("user", question)]}, context={"workspace_id": "docs"})
        said = state["messages"][-1]
        cited = tuple((each["document"], each["heading"]) for each in said.additional_kwargs["citations"])
        made.append(Outcome(question, places, cited, said.text))
    return made


def _agent() -> Any:
    spec = importlib.util.spec_from_file_location("documents_agent", AGENT)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(AGENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.graph.builder


def main() -> None:
    """Print the figures."""
    made = outcomes(PRACTICE if "--practice" in sys.argv else QUESTIONS)
    answerable, unanswerable = [each for each in made if each.places], [each for each in made if not each.places]
    print(f"right source cited first  {sum(each.is_right for each in answerable)} of {len(answerable)}")
    print(f"right source cited        {sum(each.is_among_cited for each in answerable)} of {len(answerable)}")
    print(f"refused though answerable {sum(not each.cited for each in answerable)} of {len(answerable)}")
    print(f"refused rightly           {sum(each.is_right for each in unanswerable)} of {len(unanswerable)}")
    if "-v" in sys.argv:
        for each in made:
            if not each.is_right:
                print(f"\n{each.question}\n  expected {each.places or 'nothing'}\n  cited    {each.cited or 'nothing'}")


if __name__ == "__main__":
    main()
