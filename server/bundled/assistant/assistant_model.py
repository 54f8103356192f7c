"""The assistant's language model, as the environment names it:

CHAT_MODEL                          `provider:name`, any provider that langchain's `init_chat_model` knows
OPENAI_API_KEY, OPENAI_BASE_URL     else OpenAI, or the compatible server at that address (a key is then optional)
ANTHROPIC_API_KEY                   else Anthropic, when `langchain-anthropic` is installed
"""

from __future__ import annotations

import asyncio
import os
import weakref
from dataclasses import dataclass
from typing import Any

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

__all__ = ["Choice", "NoModel", "chosen", "model_of"]

# The model of a provider when CHAT_MODEL names none: able to call tools, and not the dearest.
DEFAULT_MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-sonnet-4-5-20250929"}

MODEL_TIMEOUT_S = 120.0  # between two signs of life of the provider


class NoModel(RuntimeError):
    """No language model is set up: set OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY or CHAT_MODEL."""

    def __init__(self, message: str | None = None) -> None:
        self.public_message = message or (type(self).__doc__ or "")
        super().__init__(self.public_message)


@dataclass(frozen=True)
class Choice:
    """What the environment says of the model: its name `provider:name`, and where and as whom to ask an OpenAI-compatible server."""

    name: str
    base_url: str
    key: str


def chosen() -> Choice:
    """The model that the environment names now. Raises NoModel when it names none."""
    chat_model, key, url, anthropic_key = (
        os.environ.get(name, "").strip() for name in ("CHAT_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY")
    )
    if chat_model:
        return Choice(chat_model, url, key)
    if not (key or url or anthropic_key):
        raise NoModel
    provider = "openai" if key or url else "anthropic"
    return Choice(f"{provider}:{DEFAULT_MODELS[provider]}", url, key)


def model_of(choice: Choice, **options: Any) -> BaseChatModel:
    """The chat model; connects when it is first asked. Raises NoModel when it cannot be made."""
    if ":" not in choice.name:
        raise NoModel(f"CHAT_MODEL is written provider:name, for example openai:{DEFAULT_MODELS['openai']}.")
    try:
        return init_chat_model(choice.name, **_client_options(choice), **options)
    except ImportError as error:
        raise NoModel(f"The package for the model {choice.name!r} is not installed on this server.") from error
    except Exception as error:  # each provider has errors of its own for a missing key or a wrong option
        raise NoModel(f"The model {choice.name!r} cannot be used: its provider, name or key is wrong or missing.") from error


def _client_options(choice: Choice) -> dict[str, Any]:
    """What the model's client is told; of providers without a default here we do not know what theirs would take."""
    provider = choice.name.partition(":")[0]
    if provider not in DEFAULT_MODELS:
        return {}
    options: dict[str, Any] = {"timeout": MODEL_TIMEOUT_S}
    if provider == "openai":
        options["http_async_client"] = _loop_bound_client()
    if provider == "openai" and choice.base_url:
        # Compatible servers speak chat completions, and some of them need no key.
        options |= {"base_url": choice.base_url, "api_key": choice.key or "none", "use_responses_api": False}
    return options


def _loop_bound_client() -> Any:
    """An HTTP client for OpenAI's package that keeps the connections of each event loop apart.

    A connection cannot leave the loop that it was opened on; the client that langchain shares among all models of a process
    fails with `Event loop is closed` as soon as agents run on more than one.
    """
    from openai import DefaultAsyncHttpxClient

    class LoopBound(DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            loop = asyncio.get_running_loop()
            if loop not in clients:
                clients[loop] = DefaultAsyncHttpxClient()
            return await clients[loop].send(request, **options)

    clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, DefaultAsyncHttpxClient] = weakref.WeakKeyDictionary()
    return LoopBound()
