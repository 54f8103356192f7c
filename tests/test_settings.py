"""The settings table: what parses, what is refused, and that it says what it does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from server.settings import SECRET_SETTINGS, Settings, UnsafeSettings, environment, load
from server.settings_page import values

LONG = "0123456789abcdefghijklmnopqrstuvwxyz"
ROOT = Path(__file__).parents[1]


def loaded(folder: Path, **environ: str) -> Settings:
    return load({"DATA_DIR": str(folder), **environ})


def test_without_any_environment_it_listens_on_loopback_and_asks_for_a_sign_in(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert (settings.host, settings.port, settings.is_loopback, settings.auth) == ("127.0.0.1", 8000, True, "required")


def test_a_secret_is_generated_once_and_its_file_is_the_owners_alone(tmp_path: Path) -> None:
    first, second = loaded(tmp_path), loaded(tmp_path)
    assert first.secret_key == second.secret_key
    assert (tmp_path / "secret.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_survives_the_way_through_a_childs_environment(tmp_path: Path, field: str) -> None:
    kept = {"secret_key": LONG, "data_dir": tmp_path}
    changed = {
        "host": "localhost", "port": 8011, "database_url": "postgresql+psycopg://u:p@db/x", "redis_url": "redis://r/1",
        "streaming_backend": "memory", "async_mode": "gevent", "auth": "open", "registration": "closed", "log_level": "debug",
        "run_status_words": "aegra",
        "cors_origins": ("https://a.example", "https://b.example"), "lease_s": 30.0,
    }  # fmt: skip
    settings = load({}, **kept)
    value = getattr(settings, field)
    if field in kept:
        return
    new = changed.get(field, not value if isinstance(value, bool) else value + 1 if isinstance(value, (int, float)) else f"{value}x")
    settings = dataclasses.replace(settings, **{field: new})
    assert getattr(load({**environment(settings), "SECRET_KEY": LONG}), field) == new


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("DEBUG", "perhaps"),
        ("DRAIN_S", "soon"),
        ("ASYNC_MODE", "twisted"),
        ("AUTH", "none"),
        ("REGISTRATION", "sometimes"),
        ("STREAMING_BACKEND", "kafka"),
        ("LOG_LEVEL", "loud"),
        ("WEB_PROCESSES", "0"),
        ("WORKER_PROCESSES", "0"),
        ("RUN_DEATHS", "0"),
        ("LEASE_S", "1"),
        ("SECRET_KEY", "short"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UnsafeSettings, match=name):
        loaded(tmp_path, **{name: text})


@pytest.mark.parametrize(
    "unsafe",
    [{"AUTH": "open"}, {"DEBUG": "true"}, {"CORS_ORIGINS": "*"}, {"SECRET_KEY": "a" * 40}],
    ids=lambda unsafe: next(iter(unsafe)),
)
def test_what_is_fine_on_loopback_is_refused_where_others_can_reach_it(tmp_path: Path, unsafe: dict[str, str]) -> None:
    loaded(tmp_path, **unsafe)
    with pytest.raises(UnsafeSettings, match=next(iter(unsafe))):
        loaded(tmp_path, HOST="0.0.0.0", **unsafe)


def test_a_refusal_names_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnsafeSettings, match=r"AUTH.*DEBUG"):
        loaded(tmp_path, HOST="192.0.2.1", AUTH="open", DEBUG="1")


def test_a_refusal_never_repeats_a_secret(tmp_path: Path) -> None:
    with pytest.raises(UnsafeSettings) as refusal:
        loaded(tmp_path, SECRET_KEY="hunter2hunter2")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("url", ["postgres://me@db/x", "postgresql://me@db/x", "postgresql+psycopg://me@db/x"])
def test_every_spelling_of_a_postgresql_address_gets_our_driver(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, DATABASE_URL=url).database_url == "postgresql+psycopg://me@db/x"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert loaded(tmp_path, PORT=" ").port == 8000


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("me.example", False)],
)
def test_an_address_is_loopback_only_when_it_surely_is(tmp_path: Path, host: str, is_loopback: bool) -> None:
    assert loaded(tmp_path, HOST=host).is_loopback is is_loopback


def test_the_listing_of_values_holds_no_secret(tmp_path: Path) -> None:
    secrets = {name: f"{name}-{LONG}" for name in SECRET_SETTINGS}
    shown = values(load({}, data_dir=tmp_path, **secrets))
    assert [name for name, secret in secrets.items() if secret in shown] == []


def test_only_the_settings_read_the_environment() -> None:
    allowed = {"server/settings.py"}
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "server").rglob("*.py")
        if "bundled" not in path.parts and re.search(r"os\.(environ(?!\.update|\[\"\w+\"\] = )|getenv)", path.read_text())
    }
    assert readers <= allowed
