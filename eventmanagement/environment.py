"""Typed readers for the environment: a value that makes no sense stops the start."""

import re
from datetime import timedelta
from typing import Any, NamedTuple

import dj_database_url
from environs import Env, EnvValidationError

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
PERIODS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
MILLISECONDS = {"ms": 1, "s": 1000, "min": 60_000}
# Milliseconds; PostgreSQL keeps its timeouts in an integer.
LONGEST_WAIT = 2**31 - 1
# libpq's: seconds to connect; and how soon a server is given up whose machine or network is gone
# without a word (seconds idle, seconds between probes, probes, milliseconds unacknowledged).
REACHING_POSTGRESQL = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
POSTGRESQL = "django.db.backends.postgresql"
SQLITE = "django.db.backends.sqlite3"

env = Env()


class Rate(NamedTuple):
    """How many times something is allowed in one period."""

    limit: int
    period: timedelta


@env.parser_for("boolean")
def boolean(value: str) -> bool:
    """Read one of true, false, 1 and 0."""
    try:
        return BOOLEANS[value.strip().lower()]
    except KeyError:
        raise EnvValidationError(f"{value!r} is not one of true, false, 1, 0.", [value]) from None


@env.parser_for("rate")
def rate(value: str) -> Rate | None:
    """Read a rate such as 10/min, 10/minute or 10/m; ``off`` is no limit, None."""
    if value == "off":
        return None
    match = re.fullmatch(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)", value)
    if not match:
        raise EnvValidationError(f"{value!r} is neither like 10/min (sec, min, hour, day) nor off.", [value])
    return Rate(int(match[1]), PERIODS[match[2][0]])


@env.parser_for("postgres_duration")
def postgres_duration(value: str) -> str:
    """Read a length of time as PostgreSQL writes it, with its unit: 500ms, 3s, 1min."""
    match = re.fullmatch(r"([1-9]\d{0,9})(ms|s|min)", value)
    if not match or int(match[1]) * MILLISECONDS[match[2]] > LONGEST_WAIT:
        raise EnvValidationError(f"{value!r} is not like 500ms, 3s or 1min, up to 24 days.", [value])
    return value


@env.parser_for("hosts")
def hosts(value: str) -> list[str]:
    """Read a comma-separated list of host names, at least one."""
    names = _split(value)
    if not names or any("/" in name for name in names):
        raise EnvValidationError(f"{value!r} is not a list of host names.", [value])
    return names


@env.parser_for("origins")
def origins(value: str) -> list[str]:
    """Read a comma-separated list of origins; a bare host stands for https://host."""
    read = [name if "://" in name else f"https://{name}" for name in _split(value)]
    if not all(re.fullmatch(r"https?://[^/\s]+", origin) for origin in read):
        raise EnvValidationError(f"{value!r} is not a list of origins.", [value])
    return read


def _split(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


@env.parser_for("database")
def database(value: str, *, lock_timeout: str, statement_timeout: str) -> dict[str, Any]:
    """Read a database URL: PostgreSQL or SQLite, the two that the suite runs on.

    The timeouts are PostgreSQL's: how long a statement waits for a lock, and how long it takes.
    """
    try:
        config: dict[str, Any] = {**dj_database_url.parse(value)}
    except ValueError as error:
        raise EnvValidationError(str(error), [value]) from None
    if config["NAME"] in ("", ":memory:"):
        raise EnvValidationError("a database is needed that has a name and that threads can share.", [value])
    if config["ENGINE"] == POSTGRESQL:
        config["ENGINE"] = "eventmanagement.database.postgresql"
        _set_up_postgresql(config, lock_timeout=lock_timeout, statement_timeout=statement_timeout)
    elif config["ENGINE"] == SQLITE:
        _set_up_sqlite(config)
    else:
        raise EnvValidationError("only postgres:// and sqlite:// are supported.", [value])
    return config


def _set_up_postgresql(config: dict[str, Any], **limits: str) -> None:
    """Keep connections open, check them before use, and bound how long a request may wait."""
    options = config.setdefault("OPTIONS", {})
    # A process that stops in the middle of a transaction, or is stopped, keeps its locks: no longer than a
    # statement may, because whoever waits for them can't tell the two apart.
    limits["idle_in_transaction_session_timeout"] = limits["statement_timeout"]
    switches = [f"-c {name}={value}" for name, value in limits.items()]
    # A URL may bring options of its own: they come last and win.
    options["options"] = " ".join([*switches, options.get("options", "")]).strip()
    # PostgreSQL is told values beside the statement: what is planned once runs with any. What that is, the
    # cursor says (postgresql/base.py); without a threshold psycopg would prepare nothing.
    options.setdefault("server_side_binding", True)
    options.setdefault("prepare_threshold", 0)
    for name, value in REACHING_POSTGRESQL.items():
        options.setdefault(name, value)
    config |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}


def _set_up_sqlite(config: dict[str, Any]) -> None:
    """Let writers wait for one another, without "database is locked" and without losing a commit."""
    config["OPTIONS"] = {
        # Seconds. A writer waits its turn this long.
        "timeout": 15,
        # A transaction that reads before it writes could not wait its turn: it would fail at once.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    } | config.get("OPTIONS", {})
    # Threads cannot share the database in memory that Django would test on.
    config["TEST"] = {"NAME": f"{config['NAME']}.test"}
