"""A whole server with the agents for tests, and its ledger: what the database holds of each run, checked against its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import dict_row

from server.kit.migration import libpq_url
from tests.stack import ROOT, Stack, eventually

ENDED = ("success", "error", "timeout", "cancelled")
CONFIG = Path(__file__).parents[1] / "graphs" / "langgraph.json"
Row = dict[str, Any]


class Refused(Exception):
    """The hub did not take it."""


class Hub:
    """A running server, asked from outside."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        servers = json.loads((stack.data_dir / "run" / "servers.json").read_text())
        self.url = libpq_url(servers["database"]["url"])
        environ = {**stack.environ, "DATABASE_URL": servers["database"]["url"], "REDIS_URL": servers["redis"]["url"], "LOG_LEVEL": "error"}
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.starter"],
            env=environ,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    # -- asking --------------------------------------------------------------------------------------------------------

    def _ask(self, name: str, **values: Any) -> Any:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(json.dumps([name, values]) + "\n")
        self._starter.stdin.flush()
        told = json.loads(self._starter.stdout.readline())
        if "refused" in told:
            raise Refused(told["refused"])
        return told["result"]

    def start(self, agent: str, text: str = "", *, count: int = 1, thread_id: str | None = None) -> list[str]:
        """The ids of so many new runs. Raises Refused."""
        run_ids: list[str] = self._ask("start", agent=agent, text=text, count=count, thread_id=thread_id)
        return run_ids

    def cancel(self, run_id: str) -> None:
        """Stop a run."""
        self._ask("cancel", run_id=run_id)

    def answer(self, run_id: str, value: Any) -> str:
        """Answer what a run asks: `ok`, or why not."""
        return str(self._ask("answer", run_id=run_id, value=value))

    def empty_redis(self) -> None:
        """Take everything out of Redis; waits while it is away."""
        eventually(lambda: self._takes("empty_redis"), what="redis")

    def _takes(self, name: str, **values: Any) -> bool:
        try:
            self._ask(name, **values)
        except Refused:
            return False
        return True

    # -- looking -------------------------------------------------------------------------------------------------------

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of the database; waits while it is away."""

        def rows() -> list[list[Row]]:
            try:
                with psycopg.connect(self.url, autocommit=True, row_factory=dict_row, connect_timeout=5) as connection:
                    return [connection.execute(sql, values).fetchall()]
            except psycopg.OperationalError:
                return []

        return eventually(rows, what="the database")[0]

    def runs(self, run_ids: Sequence[str]) -> list[Row]:
        """The rows of runs, in the order of the ids."""
        rows = {str(row["id"]): row for row in self.query("SELECT * FROM runs WHERE id = ANY(%s::uuid[])", list(run_ids))}
        return [rows[run_id] for run_id in run_ids]

    def run(self, run_id: str) -> Row:
        """The row of a run."""
        return self.runs([run_id])[0]

    def await_status(self, run_ids: Sequence[str], *statuses: str, within_s: float = 60.0) -> list[Row]:
        """Wait until all runs have one of these statuses (by default: have ended); their rows."""
        wanted = statuses or ENDED
        deadline = time.monotonic() + within_s
        while True:
            rows = self.runs(run_ids)
            if all(row["status"] in wanted for row in rows):
                return rows
            left = [(str(row["id"]), row["status"], row["attempt"], row["is_alone"]) for row in rows if row["status"] not in wanted]
            assert time.monotonic() < deadline, f"{len(left)} of {len(rows)} are not {wanted} within {within_s} s: {left[:5]}"
            time.sleep(0.05)

    def outcome(self, run_id: str, *, within_s: float = 60.0) -> tuple[str, str | None]:
        """Wait for a run's end and check its log; its status, and the code of its error."""
        row = self.await_status([run_id], within_s=within_s)[0]
        self.check([run_id])
        return row["status"], (row["error"] or {}).get("code")

    def events(self, run_id: str) -> list[Row]:
        """The log of a run, each event's data loaded."""
        rows = self.query("SELECT type, run_seq, data, created_at FROM events WHERE run_id = %s::uuid ORDER BY run_seq", run_id)
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def tokens(self, run_ids: Sequence[str]) -> int:
        """How many tokens the logs of these runs hold."""
        counted = self.query("SELECT count(*) AS n FROM events WHERE type = 'token' AND run_id = ANY(%s::uuid[])", list(run_ids))
        return int(counted[0]["n"])

    def check(self, run_ids: Iterable[str]) -> None:
        """Each run's log has no gap, one beginning of each attempt, one end, and it is last; and it says what the row says."""
        for run_id in run_ids:
            run, events = self.run(run_id), self.events(run_id)
            assert [event["run_seq"] for event in events] == list(range(1, run["last_event"] + 1)), run_id
            ends = [event["data"]["status"] for event in events if event["type"] == "run" and event["data"]["status"] in ENDED]
            assert ends == [run["status"]], run_id
            assert (events[-1]["type"], events[-1]["data"]["status"]) == ("run", run["status"]), run_id
            attempts = [event["data"]["attempt"] for event in events if event["type"] == "run" and event["data"]["status"] == "running"]
            assert attempts == sorted(set(attempts)), run_id

    def state(self, run_id: str) -> dict[str, Any]:
        """What the agent of a run remembers."""
        with PostgresSaver.from_conn_string(self.url) as saver:
            found = saver.get_tuple({"configurable": {"thread_id": run_id}})
        assert found is not None
        return dict(found.checkpoint["channel_values"])

    def workers(self) -> int:
        """How many workers are known."""
        return len(self.query("SELECT id FROM workers"))

    # -- breaking ------------------------------------------------------------------------------------------------------

    def kill_worker(self) -> list[int]:
        """Kill -9 the worker with all that it has started."""
        return self.stack.kill("worker")

    def kill_server(self, name: str) -> None:
        """Kill -9 an embedded server, and wait until its keeper has started it again."""
        before = self.stack.server_pid(name)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self._server_pid(name) not in (None, before), what=f"the restart of {name}")

    def restart_postgresql(self) -> None:
        """Stop the database in order, and wait until it is back."""
        before = self.stack.server_pid("database")
        os.kill(before, signal.SIGINT)
        eventually(lambda: self._server_pid("database") not in (None, before), what="the restart of PostgreSQL")

    def _server_pid(self, name: str) -> int | None:
        try:
            return self.stack.server_pid(name)
        except KeyError:
            return None

    def close(self) -> None:
        """Ask no more."""
        assert self._starter.stdin is not None
        self._starter.stdin.close()
        self._starter.wait(10)
        if self._starter.stdout:
            self._starter.stdout.close()


@contextmanager
def hub(**environ: str) -> Iterator[Hub]:
    """A server of its own with the agents for tests."""
    stack = Stack.started(AGENTS_CONFIG=str(CONFIG), MESSAGE_RATE="100000", **environ)
    try:
        asked = Hub(stack)
        yield asked
        asked.close()
    finally:
        stack.stop()
