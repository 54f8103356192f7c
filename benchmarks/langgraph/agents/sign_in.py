"""Who may come in, for servers that leave it to the operator: whoever shows the key that is in the environment."""

from __future__ import annotations

import os

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """The one user there is."""
    if authorization != f"Bearer {os.environ['BENCHMARK_KEY']}":
        raise Auth.exceptions.HTTPException(status_code=401, detail="Not signed in.")
    return {"identity": "ada"}
