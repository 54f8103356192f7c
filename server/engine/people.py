"""Who an operator's own handler says that somebody is, as the field's libraries know a user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Person"]


class Person:
    """A user: by attribute and by key, with whatever else the handler told. Source: `BaseUser` of langgraph_sdk."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = {"is_authenticated": True, "permissions": [], **told}
        self._told.setdefault("display_name", self.identity)

    @property
    def identity(self) -> str:
        """The name by which the handler knows the user."""
        return str(self._told["identity"])

    @property
    def is_authenticated(self) -> bool:
        """Whether the handler knows who it is."""
        return bool(self._told["is_authenticated"])

    @property
    def display_name(self) -> str:
        """A name to show."""
        return str(self._told["display_name"])

    @property
    def permissions(self) -> Sequence[str]:
        """What the handler says the user may do."""
        return list(self._told["permissions"])

    def dict(self) -> dict[str, Any]:
        """All that is known of the user."""
        return dict(self._told)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_told"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: str) -> Any:
        return self._told[key]

    def __contains__(self, key: object) -> bool:
        return key in self._told

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __repr__(self) -> str:
        return f"Person({self.identity!r})"
