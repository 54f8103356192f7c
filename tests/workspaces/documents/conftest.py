from dataclasses import replace

import pytest
from flask import Flask

from tests.workspaces.documents.people import Person, person


@pytest.fixture
def owner(app: Flask) -> Person:
    """Somebody with a workspace of their own."""
    made = person(app, "owner")
    return replace(made, workspace_id=made.call("POST", "/workspace").json["workspace"]["workspace_id"])
