"""Which version of the server this is."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version_of"]


def version_of(package: str = "parley") -> str:
    """The version of an installed package, of this server where none is named; `0` for one that runs without being installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0"
