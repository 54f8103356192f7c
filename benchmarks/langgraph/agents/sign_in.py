"""Who may come in, for servers that leave it to the operator: whoever shows the key that is in the environment."""

from __future__ import annotations

import os
from typing import Any

from langgraph_sdk import Auth

auth = Auth()
SHOWN = f"Bearer {os.environ.get('BENCHMARK_KEY', '')}"


@auth.authenticate
async def authenticate(headers: dict[Any, Any]) -> Auth.types.MinimalUserDict:
    """The one user there is. One server gives headers as bytes, the other as text."""
    shown = headers.get(b"authorization") or headers.get("authorization") or ""
    if (shown.decode() if isinstance(shown, bytes) else shown) != SHOWN:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Not signed in.")
    return {"identity": "ada"}
