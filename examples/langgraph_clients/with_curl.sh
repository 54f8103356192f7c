#!/usr/bin/env bash
# A run from its start to its result, with curl alone.
set -euo pipefail

URL=${PARLEY_URL:-http://127.0.0.1:8000}
THREAD="example-thread-$(date +%s)-$$"
RUNS="$URL/threads/$THREAD/runs"

# Without PARLEY_API_KEY the server has to run with AUTH=open.
ask() { curl --silent --show-error --fail-with-body ${PARLEY_API_KEY:+-H "X-Api-Key: $PARLEY_API_KEY"} "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; } # a text out of a JSON answer

RUN=$(ask "$RUNS" -H "Content-Type: application/json" -d '{
  "assistant_id": "echo",
  "input": {"messages": [{"role": "user", "content": "Hello from curl"}]},
  "stream_mode": ["values", "messages-tuple"],
  "if_not_exists": "create"
}' | field run_id)
echo "run $RUN on $THREAD"

# The first event alone, as if the line had broken; then the rest, from the one after it.
LAST=$(ask --no-buffer "$RUNS/$RUN/stream" 2>/dev/null | sed -n '/^id: /{s///p;q;}' || true)
echo "$LAST was the last event before the line broke"
ask --no-buffer -H "Last-Event-ID: $LAST" "$RUNS/$RUN/stream"

ask "$RUNS/$RUN/join"
echo
echo "status: $(ask "$RUNS/$RUN" | field status)"
