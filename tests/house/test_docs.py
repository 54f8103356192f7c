"""The documents: what they point to is there, what they name exists, and what there is to know of the code is in them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

import server
from server.kit.errors import Refusal
from server.runs.rules import MOVES
from server.settings import Settings, load
from server.settings_page import page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NAMES = {path: str(path.relative_to(ROOT)) for path in PAGES}
FIELDS = Settings.__dataclass_fields__
# Names in capitals that are no settings of ours.
FOREIGN = {"LANGGRAPH_STRICT_MSGPACK", "PSYCOPG_WAIT_FUNC", "DESK_NAME", "PARLEY_URL"}
# Whatever happens to a socket by itself; everything else that a door handles or sends is described by its name.
OWN_EVENTS = {"connect", "disconnect"}

WORDS = {"a": 1, "an": 1, "every": 1, "one": 1}
SCALES = {"minute": 60, "hour": 3600, "day": 86400, "MiB": 2**20, "GiB": 2**30}
# "within 60 seconds (`CONNECTION_STRING_S`)", "every second (`SWEEP_S`)", and the other way round: "`RUN_DEATHS` (2)"
NUMBER = r"(\d[\d,]*(?= \w)|(?:an?|every|one)(?= (?:second|minute|hour|day)\b))"
FIGURES = (
    re.compile(rf"\b(?P<number>{NUMBER}) (?P<unit>\w+)[^.;()`|\d]{{0,40}}\(`(?P<name>[A-Z_]+)`[,)]"),
    re.compile(r"`(?P<name>[A-Z_]+)` \((?P<number>\d[\d,]*|an?)(?P<unit>(?: \w+)?)\)"),
)

every_page = pytest.mark.parametrize("path", PAGES, ids=NAMES.values())


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app with all its doors, connected to nothing; who had this process's queue and Redis has them again after."""
    from server.app import create_app
    from server.kit import queue, redis

    before: Flask | None = getattr(queue.celery, "flask_app", None)
    addresses = {"database_url": "postgresql://nowhere/none", "redis_url": "redis://nowhere"}
    yield create_app(load({}, data_dir=tmp_path_factory.mktemp("data"), **addresses))
    if before is not None:
        redis.configure(before.config["SETTINGS"].redis_url)
        queue.configure(before, before.config["SETTINGS"])


def prose(path: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(path: Path, heading: str) -> str:
    """What a page says under a heading, up to the next one of its level."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{NAMES[path]} has no heading {heading}"
    return found[2]


def modules(*folders: str) -> Iterator[ast.Module]:
    """The parsed code of rooms."""
    for folder in folders:
        for file in sorted((ROOT / "server" / folder).rglob("*.py")):
            yield ast.parse(file.read_text())


# -- what pages point to -----------------------------------------------------------------------------------------------


@every_page
def test_every_link_inside_the_repository_leads_somewhere(path: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
            dead.append(link)
    assert dead == []


@every_page
def test_every_file_that_a_page_names_exists(path: Path) -> None:
    named = re.findall(r"`((?:server|tests|docs|examples|frontend|benchmarks|migrations)/[\w./-]+)[`:]", prose(path))
    assert [name for name in named if not (ROOT / name).exists() and name != "tests/chats"] == []


@every_page
def test_every_make_target_and_command_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"^def (\w+)\(ctx", (ROOT / "server" / "cli.py").read_text(), re.MULTILINE)) - {"main"}
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    for named in re.findall(r"`parley ([a-z|]+)[ `]", text):
        assert set(named.split("|")) <= commands


def test_every_page_is_named_in_the_index() -> None:
    links = set(re.findall(r"\]\(([\w./-]+\.md)", (DOCS / "index.md").read_text()))
    assert {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - links == {"index.md"}


def test_every_decision_says_its_context_its_decision_and_its_consequences() -> None:
    for path in sorted((DOCS / "decisions").glob("*.md")):
        assert re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE) == ["Context", "Decision", "Consequences"], NAMES[path]
        assert 20 <= len(path.read_text().splitlines()) <= 40, NAMES[path]


def test_every_room_is_on_the_map() -> None:
    rooms = {path.name for path in (ROOT / "server").iterdir() if (path / "__init__.py").exists() or path.name == "bundled"}
    architecture, readme = section(DOCS / "architecture.md", "Rooms"), section(ROOT / "README.md", "The map of the code")
    assert [room for room in sorted(rooms) if f"| `{room}` |" not in architecture] == []
    assert [room for room in sorted(rooms) if f"| `server/{room}/` |" not in readme] == []


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_settings_page_is_the_one_made_from_the_table() -> None:
    assert (DOCS / "settings.md").read_text() == page(), "run `make docs`"


@every_page
def test_every_setting_that_a_page_names_exists(path: Path) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", prose(path)))
    assert {name for name in named if name.lower() not in FIELDS} - FOREIGN == set()


@every_page
def test_every_figure_that_a_page_gives_for_a_setting_is_its_default(path: Path) -> None:
    wrong = []
    for found in (each for figure in FIGURES for each in figure.finditer(" ".join(prose(path).split()))):
        number, unit, name = found["number"], found["unit"].strip().rstrip("s"), found["name"].lower()
        amount = WORDS[number] if number in WORDS else int(number.replace(",", ""))
        if name in FIELDS and amount * SCALES.get(unit, 1) != FIELDS[name].default:
            wrong.append(found[0])
    assert wrong == []


# -- routes ------------------------------------------------------------------------------------------------------------


def routes(app: Flask) -> set[str]:
    pages = {"web.page", "web.static_file", "web.swagger", "web.redoc", "web.description"}
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint not in pages
    }


def test_every_route_is_in_the_table_of_routes_and_no_other(app: Flask) -> None:
    listed = re.findall(r"^\| `([A-Z]+ /[^`]*)`", section(DOCS / "rest-api.md", "Routes"), re.MULTILINE)
    assert sorted(listed) == sorted(routes(app))


@every_page
def test_every_route_that_a_page_names_exists(app: Flask, path: Path) -> None:
    there = {re.sub(r"<[^>]+>", "<>", route) for route in routes(app)}
    named = re.findall(r"`((?:GET|POST|PUT|DELETE|PATCH) /[^`?\s{]*)", path.read_text())
    assert [name for name in named if re.sub(r"<[^>]+>", "<>", name).rstrip("/") not in there] == []


# -- codes -------------------------------------------------------------------------------------------------------------


def refusals() -> Iterator[type[Refusal]]:
    """Every refusal that a web process can raise."""
    for found in pkgutil.walk_packages(server.__path__, "server."):
        if not found.name.startswith(("server.bundled", "server.engine", "server.alone", "server.runs.host", "server.runs.tasks")):
            importlib.import_module(found.name)
    waiting = [Refusal]
    while waiting:
        refusal = waiting.pop()
        waiting += refusal.__subclasses__()
        yield refusal


def test_every_code_of_a_refusal_is_in_the_table_with_its_status() -> None:
    table = section(DOCS / "rest-api.md", "Refusals")
    listed = {
        (int(row[0]), code)
        for row in re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row[1])
    }
    there = {(each.status, each.code) for each in refusals() if each.__module__.startswith("server.")}
    assert listed - {(500, "internal")} == there


def test_every_code_of_an_acknowledgement_is_the_code_of_a_refusal() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(DOCS / "chat-api.md", "Codes of refused acknowledgements"), re.MULTILINE)
    assert set(listed) - {"internal"} <= {each.code for each in refusals()}
    assert len(listed) == len(set(listed))


def run_codes() -> Iterator[str]:
    """The codes with which runs fail, as the code that carries them out and ends them writes them."""
    for tree in modules("engine", "runs"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                yield from (value.value for key, value in pairs if is_text(key, "code") and is_text(value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "problem" and is_text(node.args[0]):
                yield node.args[0].value
            elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and is_text(node.elts[0]) and is_verdict(node.elts[2]):
                yield node.elts[0].value
            elif isinstance(node, ast.keyword) and node.arg == "code" and is_text(node.value):
                yield node.value.value


def is_verdict(node: ast.AST) -> bool:
    """Whether it is what says "retryable" in a table of codes."""
    return isinstance(node, ast.Compare) or (isinstance(node, ast.Constant) and isinstance(node.value, bool))


def is_text(node: ast.AST | None, text: str | None = None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and text in (None, node.value)


def test_every_code_of_a_failed_run_is_in_the_table_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(DOCS / "runs.md", "Codes of failed runs"), re.MULTILINE)
    assert sorted(listed) == sorted(set(run_codes()))


# -- runs and events ---------------------------------------------------------------------------------------------------


def test_every_move_of_a_run_is_in_the_table_of_states_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section(DOCS / "runs.md", "States"), re.MULTILINE)
    assert sorted(listed) == sorted((before, after) for before, following in MOVES.items() for after in following)


def test_every_event_that_a_client_may_send_is_described_and_no_other(app: Flask) -> None:
    handled = set(app.extensions["socketio"].server.handlers["/chat"]) - OWN_EVENTS
    described = re.findall(r"^### `(\w+)`", section(DOCS / "chat-api.md", "What a client sends"), re.MULTILINE)
    older = re.findall(r"^- It sends `(\w+)`", section(DOCS / "chat-api.md", "Older clients"), re.MULTILINE)
    assert sorted([*described, *older]) == sorted(handled)


def sent_events() -> Iterator[str]:
    """The types of the events that rooms emit, store or send: `emit("token", …)`, `whisper(seat, "closed", …)`, `("run", {…})`, yields."""
    for tree in modules("engine", "runs", "chats"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
                if called in ("emit", "whisper", "append", "tell", "encoded"):
                    yield from (each.value for each in node.args[:3] if is_text(each))
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and is_text(node.elts[0]) and isinstance(node.elts[1], ast.Dict):
                yield node.elts[0].value


def test_every_event_that_the_server_sends_is_described_and_no_other() -> None:
    # A notice between processes has a point in its name.
    sent = {kind for kind in sent_events() if "." not in kind}
    described = re.findall(r"^### `(\w+)`", section(DOCS / "chat-api.md", "Events"), re.MULTILINE)
    older = re.findall(r"^- It gets `(\w+)`", section(DOCS / "chat-api.md", "Older clients"), re.MULTILINE)
    assert sorted(set(described) | set(older)) == sorted(sent)
