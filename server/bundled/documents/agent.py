"""An agent that answers from the documents of its workspace, with sources, and says so when they do not hold the answer.

It needs no model: it quotes. The passages come from the run's store, already weighed:

    runtime.store.asearch(("workspace", workspace_id, "documents"), query=…)  →  items with a score, and as value
    {text, document, document_id, heading, page, position, coverage, highlights: [{kind, text, position, score}]}

Nothing found at all means that there are no documents.

The message it answers with carries `additional_kwargs["citations"]`, one entry per `[n]` in its text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import SearchItem

Value = dict[str, Any]

ENOUGH = 0.55  # share of the question that a passage must cover to count as an answer
STRONG_LINE = 0.35  # a line that says less on the question is not what answers it: then the passage's beginning does
NEAR_BEST = 0.7  # lines with so much of the best line's score are quoted with it
NEXT = 0.8  # other passages are quoted too if they score so much of the first: then it is not clear which one answers
MAX_SOURCES = 3
MAX_LINES = 4
MAX_ITEMS = 8
MAX_QUOTE_CHARS = 900
MAX_CODE_LINES = 30
PASSAGES = 8
EVERYTHING = "*"  # asks the store how each document begins
MAX_LISTED = 50
MAX_QUESTION_CHARS = 1000

NO_DOCUMENTS = (
    "This workspace holds no documents yet. Add text, Markdown or PDF files to it (on its page, or with "
    "`POST /workspace/<id>/document`), then ask again."
)
NOT_FOUND = "The documents of this workspace do not answer that."
HELLO = "I answer questions from the documents of this workspace and say where each answer stands. Ask me about something they describe."

_GREETING = re.compile(
    r"^\W*(hi|hello|hey|thanks|thank you|good (morning|afternoon|evening)|ok|okay|bye|who are you|what can you do|help)\W*$", re.I
)
_LISTING = re.compile(
    r"^\W*(what|which|list|show)\b(?=.*\b(documents?|files?)\b).{0,40}\b(you have|are there|do you know|have you got|are here"
    r"|(in|of) this workspace|the documents|all documents|all files)\W*$",
    re.I,
)
_FOLLOWS = re.compile(r"^\W*(and|but|or|also|so|then|what about|how about|what if|why|why not|how so|since when)\b", re.I)
_POINTS_BACK = re.compile(r"\b(it|its|that|this|these|those|them|they|their|there|the same|one|ones|both|either)\b", re.I)
_POINTS_FORWARD = re.compile(
    r"\b(that|this|these|those|there)\s+(is|are|was|were|the|a|an|i|you|we)\b|\bis (it|there)\b|\b(is|are) there\b", re.I
)
_LEANS_ON_BEFORE = re.compile(r"^\W*(it|its|this|that|these|those|they|them|so|then|otherwise|both|such|there|here|he|she)\b", re.I)
_LINKS = re.compile(
    r"\b(a|about|also|and|any|are|be|both|but|can|could|did|do|does|either|else|even|exactly|for|has|have|how|i|if|in|is|it|its|me|more|my|not"
    r"|of|ok|on|ones?|or|please|same|she|should|so|tell|that|the|their|them|then|there|these|they|this|those|to|too|was|what|when|where|which"
    r"|who|whom|whose|why|will|with|without|would|you)\b",
    re.I,
)
_CHUNK = re.compile(r"\S+\s*|\s+")


class Reciter(BaseChatModel):
    """A chat model that says the last message it is given, word by word: what is quoted streams as what is generated does."""

    @property
    def _llm_type(self) -> str:
        return "reciter"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        said = AIMessage(messages[-1].content, additional_kwargs=messages[-1].additional_kwargs)
        return ChatResult(generations=[ChatGeneration(message=said)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for piece in _CHUNK.findall(messages[-1].text):
            yield ChatGenerationChunk(message=AIMessageChunk(piece))
            await asyncio.sleep(0)  # others on this loop have their turn
        yield ChatGenerationChunk(message=AIMessageChunk("", additional_kwargs=messages[-1].additional_kwargs))


async def answer(state: MessagesState, runtime: Runtime[dict[str, Any]], config: RunnableConfig) -> dict[str, list[BaseMessage]]:
    """Answer the last message from the workspace's documents."""
    asked = [message.text.strip()[:MAX_QUESTION_CHARS] for message in state["messages"] if message.type == "human"]
    text, citations = await _reply(asked, runtime, _workspace_id(runtime, config))
    said = await Reciter().ainvoke([AIMessage(text, additional_kwargs={"citations": citations})])
    return {"messages": [said]}


def _workspace_id(runtime: Runtime[dict[str, Any]], config: RunnableConfig) -> str:
    context = runtime.context if isinstance(runtime.context, dict) else {}
    return str(context.get("workspace_id") or config.get("configurable", {}).get("workspace_id") or "")


async def _reply(asked: Sequence[str], runtime: Runtime[dict[str, Any]], workspace_id: str) -> tuple[str, list[Value]]:
    """What to say, and the passages that it cites."""
    question = asked[-1] if asked else ""
    place = ("workspace", workspace_id, "documents")
    if not question or _GREETING.match(question):
        return HELLO, []
    if runtime.store is None or not workspace_id:
        return NO_DOCUMENTS, []
    if _LISTING.match(question):
        return _listed([item.value for item in await runtime.store.asearch(place, query=EVERYTHING, limit=MAX_LISTED)]), []
    query = with_topic(asked)
    found = await runtime.store.asearch(place, query=query, limit=PASSAGES)
    if not found:
        return NO_DOCUMENTS, []
    answering = _covering(found)
    # What a question adds to its topic has to be in the documents too.
    if (
        query != question
        and _says_something(question)
        and not _covering(await runtime.store.asearch(place, query=question, limit=PASSAGES))
    ):
        return NOT_FOUND, []
    return compose(answering) if answering else (NOT_FOUND, [])


def _covering(found: Sequence[SearchItem]) -> list[tuple[float, Value]]:
    """The passages that cover enough of the question, with their scores."""
    return [(item.score or 0.0, item.value) for item in found if item.value.get("coverage", 1.0) >= ENOUGH]


def _says_something(question: str) -> bool:
    """Whether a question has words of its own, more than `Why is that?`."""
    return bool(re.search(r"\w", _LINKS.sub(" ", question)))


def with_topic(asked: Sequence[str]) -> str:
    """The last question; one that leans on what was asked before is given that too."""
    topic = []
    for question in reversed(asked):
        topic.append(question)
        if not _follows(question):
            break
    return " ".join(topic[:3])


def _follows(question: str) -> bool:
    if _FOLLOWS.match(question):
        return True
    words = question.split()
    return len(words) <= 2 or (len(words) <= 12 and bool(_POINTS_BACK.search(_POINTS_FORWARD.sub(" ", question))))


def compose(found: Sequence[tuple[float, Value]]) -> tuple[str, list[Value]]:
    """The answer from passages that hold it, best first: what the best says, in short what says nearly as much, and the sources."""
    best_score, best = found[0]
    cited, quotes = [best], [_quote(best)]
    for score, value in found[1:]:
        quote = _quote(value, max_lines=1)
        if score >= NEXT * best_score and len(cited) < MAX_SOURCES and quote not in quotes:
            cited.append(value)
            quotes.append(quote)
    marked = [_marked(quote, number) for number, quote in enumerate(quotes, 1)]
    sources = "\n".join(f"- [{number}] {_source(value)}" for number, value in enumerate(cited, 1))
    return "\n\n".join([*marked, f"**Sources**\n\n{sources}"]), [_citation(value) for value in cited]


def _quote(value: Value, *, max_lines: int = MAX_LINES) -> str:
    """What of a passage answers: its strongest lines in their order, or its beginning where the heading says what it is about."""
    lines: list[Value] = value.get("highlights") or [{"kind": "text", "text": value["text"], "position": 0, "score": 1.0}]
    strongest = max(line["score"] for line in lines)
    if strongest < STRONG_LINE:
        wanted = {line["position"] for line in lines[:max_lines]}
    else:
        ranked = sorted((line for line in lines if line["score"] >= NEAR_BEST * strongest), key=lambda line: -line["score"])
        wanted = {line["position"] for line in ranked[:max_lines]}
    return _bounded(list(_joined([lines[at] for at in sorted(_with_company(lines, wanted))])))


def _with_company(lines: list[Value], wanted: set[int]) -> set[int]:
    """The wanted lines, and those they do not make sense without: what "it" is, what a colon announces, what code is for."""
    taken = set(wanted)
    for at in sorted(wanted):
        if at and lines[at]["kind"] == "text" and _LEANS_ON_BEFORE.match(lines[at]["text"]):
            taken.add(at - 1)
        if lines[at]["kind"] == "code" and at and lines[at - 1]["kind"] == "text":
            taken.add(at - 1)
        taken.update(_announced(lines, at))
    return taken


def _announced(lines: list[Value], at: int) -> Iterator[int]:
    """The code right after a line, and all of the list or table that it leads in to."""
    following = at + 1
    if following < len(lines) and lines[at]["kind"] == "text" and lines[following]["kind"] == "code":
        yield following
    if lines[at]["kind"] != "text" or not lines[at]["text"].rstrip().endswith(":"):
        return
    while following < len(lines) and following - at <= MAX_ITEMS and lines[following]["kind"] in ("item", "table"):
        yield following
        following += 1


def _joined(lines: list[Value]) -> Iterator[str]:
    """The lines as blocks: sentences side by side, items under each other, rows under one head."""
    block: list[Value] = []
    for line in lines:
        if block and (line["kind"] != block[-1]["kind"] or line["kind"] == "code"):
            yield _as_block(block)
            block = []
        block.append(line)
    if block:
        yield _as_block(block)


def _as_block(lines: list[Value]) -> str:
    kind = lines[0]["kind"]
    texts = [line["text"] for line in lines]
    if kind == "table":
        return "\n".join([texts[0], *(text.rsplit("\n", 1)[-1] for text in texts[1:])])
    if kind == "code":
        return _short_code(texts[0])
    return ("\n" if kind == "item" else " ").join(texts)


def _short_code(code: str) -> str:
    lines = code.split("\n")
    if len(lines) <= MAX_CODE_LINES + 2:
        return code
    return "\n".join([*lines[: MAX_CODE_LINES + 1], "…", lines[-1]])


def _bounded(blocks: list[str]) -> str:
    """The blocks up to the length of a readable answer; the first is always there."""
    kept = blocks[0]
    for block in blocks[1:]:
        if len(kept) + len(block) > MAX_QUOTE_CHARS:
            break
        kept += "\n\n" + block
    return kept


def _marked(quote: str, number: int) -> str:
    ends_in_block = quote.rsplit("\n", 1)[-1].startswith(("|", "```", "~~~"))
    return f"{quote}\n\n[{number}]" if ends_in_block else f"{quote} [{number}]"


def _source(value: Value) -> str:
    place = f"{value['document']} › {value['heading']}" if value.get("heading") else value["document"]
    return f"{place}, page {value['page']}" if value.get("page") else place


def _citation(value: Value) -> Value:
    return {key: value.get(key) for key in ("document", "document_id", "heading", "page", "position")}


def _listed(values: list[Value]) -> str:
    names = list(dict.fromkeys(value["document"] for value in values))
    if not names:
        return NO_DOCUMENTS
    return "This workspace holds:\n\n" + "\n".join(f"- {name}" for name in names)


graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile(name="documents")
