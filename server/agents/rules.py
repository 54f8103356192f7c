"""What holds for assistants whatever is stored: how configuration and context go together."""

from __future__ import annotations

from typing import Any

from server.kit.errors import Refusal

__all__ = ["BothGiven", "agreed", "changed"]

Settings = dict[str, Any]


class BothGiven(Refusal):
    """Cannot specify both configurable and context. Prefer setting context alone."""

    code = "context_and_configurable"


def agreed(config: Settings, context: Settings) -> tuple[Settings, Settings]:
    """Configuration and context as an assistant keeps them: what is in one's `configurable` is the other.

    Older graphs read `config.configurable`, newer ones the context; whichever of the two was given, both find it.
    Raises BothGiven (400).
    """
    configurable = config.get("configurable")
    if configurable and context:
        raise BothGiven
    if configurable:
        return config, dict(configurable)
    return ({**config, "configurable": dict(context)} if context else config), context


def changed(kept: tuple[Settings, Settings], config: Settings | None, context: Settings | None) -> tuple[Settings, Settings]:
    """What is kept, with the configuration and the context that were given in its place; None and an empty configuration change nothing.

    Another context leaves the rest of the configuration as it was. Raises BothGiven (400).
    """
    kept_config, kept_context = kept
    if config:
        config, made = agreed(config, context or {})
        return config, made or (kept_context if context is None else {})
    if context is None:
        return kept
    rest = {name: value for name, value in kept_config.items() if name != "configurable"}
    return agreed(rest, context)
