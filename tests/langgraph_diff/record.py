"""Write down what a server answers: `python -m tests.langgraph_diff.record http://127.0.0.1:2024 [scenario…]`.

The answers kept here are those of the reference server, started in `agents/` with `langgraph dev --no-browser --no-reload`
(`pip install "langgraph-cli[inmem]"`). Its versions are asked for and written beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import requests

from tests.langgraph_diff.playing import play
from tests.langgraph_diff.scenarios import SCENARIOS

ANSWERS = Path(__file__).parent / "answers"


def recorded(name: str) -> dict[str, Any]:
    """The reference server's masked answers in a scenario, by the names of its steps."""
    answers: dict[str, Any] = json.loads((ANSWERS / f"{name}.json").read_text())
    return answers


def _write(name: str, answers: Any) -> None:
    (ANSWERS / f"{name}.json").write_text(json.dumps(answers, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def main(base_url: str, *names: str) -> None:
    """Play the scenarios, all or those named, against a server and keep its answers."""
    info = requests.get(f"{base_url}/info", timeout=10).json()
    _write("versions", {"langgraph-api": info.get("version"), "langgraph": info.get("langgraph_py_version")})
    for scenario in SCENARIOS:
        if not names or scenario.name in names:
            _write(scenario.name, play(scenario, base_url, {}))
            print(f"{scenario.name}: {len(scenario.steps)} steps")


if __name__ == "__main__":
    main(*sys.argv[1:])
