"""Programs in JavaScript that use a running server, with what they need from npm."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js with npm")


def installed(folder: Path) -> Path:
    """The folder of a program, with what it needs in place; installed once, also when two tests come at the same time."""
    with (folder / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules" / ".package-lock.json").exists():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=100)
    return folder


def told(folder: Path, *words: str, within_s: float = 100) -> Any:
    """What a program prints, as JSON; fails when it ends badly."""
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["node", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
