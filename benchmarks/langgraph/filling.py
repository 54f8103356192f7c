"""A past for our server: threads, runs and events as if it had worked for long, put straight into its database."""

from __future__ import annotations

import psycopg

__all__ = ["fill"]

EVENTS_PER_RUN = 2
THREADS = """
INSERT INTO threads (id, owner_id, name, metadata, status, "values", config, is_temporary, created_at, updated_at, state_updated_at)
SELECT id, owner_id, id::text, '{"graph_id": "echo"}', 'idle', '{"messages": []}', '{}', false, at, at, at
FROM (SELECT uuidv7(-n * interval '86400 s' / %(threads)s) AS id, now() - n * interval '86400 s' / %(threads)s AS at,
    (SELECT id FROM users LIMIT 1) AS owner_id FROM generate_series(%(threads)s::int, 1, -1) AS n) AS made
"""
STREAMS = """
INSERT INTO streams (name, last_seq, trimmed_seq) SELECT 'thread:' || id, %(each)s * %(events)s, 0 FROM threads ON CONFLICT DO NOTHING
"""
RUNS = """
INSERT INTO runs (id, owner_id, agent_id, thread_id, thread_key, stream, status, input, options, metadata, context, timeout_s, output,
    attempt, deaths, is_alone, last_event, created_at, updated_at, woken_at, started_at, finished_at)
SELECT uuidv7(created_at - now() + n * interval '1 ms'), owner_id, 'echo', id::text, id, 'thread:' || id, 'success',
    '{"messages": [{"role": "user", "content": "hello"}]}', '{"modes": ["values"], "durability": "async"}', '{"graph_id": "echo"}', '{}',
    3600, '{"messages": []}', 1, 0, false, %(events)s, created_at, created_at, created_at, created_at, created_at
FROM threads, generate_series(1, %(each)s) AS n WHERE name = id::text AND status = 'idle' AND metadata = '{"graph_id": "echo"}'
ORDER BY threads.id
"""
EVENTS = """
INSERT INTO events (stream, seq, run_id, run_seq, type, data, created_at)
SELECT stream, (row_number() OVER (PARTITION BY stream ORDER BY runs.id, n)), runs.id, n, 'run',
    '{"run_id":"' || runs.id || '","status":"success","attempt":1}', created_at
FROM runs, generate_series(1, %(events)s) AS n WHERE runs.stream IS NOT NULL AND runs.last_event = %(events)s ORDER BY runs.id, n
"""


def fill(database_url: str, *, threads: int, runs: int) -> None:
    """Store so many threads and runs, with two events each, for the first account; afterwards the tables are analysed."""
    values = {"threads": threads, "each": runs // threads, "events": EVENTS_PER_RUN}
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        for sql in (THREADS, STREAMS, RUNS, EVENTS):
            connection.execute(sql, values)
        for table in ("threads", "streams", "runs", "events"):
            connection.execute(f"VACUUM ANALYZE {table}")
        connection.execute("CHECKPOINT")
