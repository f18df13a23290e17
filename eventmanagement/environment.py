"""Typed parsers for environment variables. An invalid value raises an error at startup."""

import re
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import dj_database_url
from environs import Env, EnvValidationError
from psycopg import pq

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
PERIODS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
MILLISECONDS = {"ms": 1, "s": 1000, "min": 60_000}
MAX_PORT = 65535
# In milliseconds: the maximum of PostgreSQL's timeout settings.
MAX_TIMEOUT_MS = 2**31 - 1
# libpq's connection options: the connect timeout in seconds, and TCP keepalive settings that detect a dead server
# or network (idle seconds before the first probe, seconds between probes, number of probes, and the
# maximum milliseconds that sent data may stay unacknowledged).
POSTGRESQL_OPTIONS = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Options of the connection pool, in seconds: how long a request waits for a connection before it gets 503, and after
# how long an idle connection is closed.
POOL = {"timeout": 5, "max_idle": 60}
# The parameters that a URL may have besides those of libpq: Django's options. Not "pool": DATABASE_POOL_SIZE sets it.
DJANGO_PARAMETERS = {"assume_role", "currentSchema", "isolation_level", "prepare_threshold", "server_side_binding"}
SQLITE_PARAMETERS = {"init_command", "timeout", "transaction_mode"}
# libpq's parameters that a URL may not have. The URL's path sets dbname. With replication, queries don't work.
UNSUPPORTED_PARAMETERS = {"dbname", "replication"}
# Formats of parameters that are otherwise only checked when the first request connects. With them, an invalid value
# stops the start.
PARAMETER_FORMATS = {
    **dict.fromkeys([*POSTGRESQL_OPTIONS, "keepalives", "prepare_threshold", "timeout"], "[0-9]{1,9}"),
    # Zero or less means no timeout.
    "connect_timeout": "-?[0-9]{1,9}",
    "isolation_level": "[1-4]",
    # One port per host, separated by commas. An empty port is the default port.
    "port": "([0-9]{1,5}(,|$)|,)+",
    "server_side_binding": "(?i:true|false)",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
    "transaction_mode": "(?i:DEFERRED|EXCLUSIVE|IMMEDIATE)",
}
POSTGRESQL = "django.db.backends.postgresql"
SQLITE = "django.db.backends.sqlite3"

env = Env()


class Rate(NamedTuple):
    """A rate limit: the number of attempts allowed per period."""

    limit: int
    period: timedelta


@env.parser_for("boolean")
def boolean(value: str) -> bool:
    """Parse true, false, 1 or 0."""
    try:
        return BOOLEANS[value.strip().lower()]
    except KeyError:
        raise EnvValidationError(f"{value!r} must be one of true, false, 1, 0.", [value]) from None


@env.parser_for("number")
def number(value: str, *, lowest: int, highest: int) -> int:
    """Parse a whole number within these bounds."""
    if not re.fullmatch(r"[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise EnvValidationError(f"{value!r} must be a whole number from {lowest} to {highest}.", [value])
    return int(value)


@env.parser_for("rate")
def rate(value: str) -> Rate | None:
    """Parse a rate such as 10/min, 10/minute or 10/m. Returns None for ``off``, which means no limit."""
    if value == "off":
        return None
    match = re.fullmatch(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)", value)
    if not match:
        raise EnvValidationError(f"{value!r} must be a rate such as 10/min (sec, min, hour or day), or off.", [value])
    return Rate(int(match[1]), PERIODS[match[2][0]])


@env.parser_for("postgres_duration")
def postgres_duration(value: str, *, highest: int = MAX_TIMEOUT_MS) -> str:
    """Parse a duration in PostgreSQL's format, with a unit: 500ms, 3s, 1min."""
    match = re.fullmatch(r"([1-9]\d{0,9})(ms|s|min)", value)
    if not match or int(match[1]) * MILLISECONDS[match[2]] > highest:
        raise EnvValidationError(f"{value!r} must be a duration such as 500ms, 3s or 1min, at most 24 days.", [value])
    return value


def milliseconds(duration: str) -> int:
    """Return the number of milliseconds of a duration in PostgreSQL's format."""
    unit = duration.lstrip("0123456789")
    return int(duration.removesuffix(unit)) * MILLISECONDS[unit]


@env.parser_for("database_wait")
def database_wait(value: str, *, statement_timeout: str) -> float:
    """Parse a duration that is longer than the statement timeout. Returns seconds."""
    if milliseconds(postgres_duration(value)) <= milliseconds(statement_timeout):
        raise EnvValidationError(f"{value!r} must be longer than STATEMENT_TIMEOUT, {statement_timeout}.", [value])
    return milliseconds(value) / 1000


@env.parser_for("hosts")
def hosts(value: str) -> list[str]:
    """Parse a comma-separated list of at least one host: a name, an IPv4 address or an IPv6 address in brackets.

    .example.org stands for example.org and its subdomains, and * for any host.
    """
    names = _split(value)
    for name in names:
        if name != "*" and not _is_host(name.removeprefix(".")):
            raise EnvValidationError(
                f"{name!r} is not a host. Write example.org, .example.org (with its subdomains), 192.0.2.1 or "
                "[2001:db8::1], without scheme, port, path or quotes.",
                [value],
            )
    if not names:
        raise EnvValidationError("it must name at least one host.", [value])
    return names


@env.parser_for("origins")
def origins(value: str) -> list[str]:
    """Parse a comma-separated list of origins. A bare host means https://host, and *.host its subdomains."""
    read = [name if "://" in name else f"https://{name}" for name in _split(value.lower())]
    for origin in read:
        scheme, _, rest = origin.partition("://")
        if not _is_origin(f"{scheme}://{rest.removeprefix('*.')}"):
            raise EnvValidationError(
                f"{origin!r} is not an origin. Write https://example.org, https://*.example.org or "
                "http://localhost:8000, without a path or quotes.",
                [value],
            )
    return read


@env.parser_for("exact_origins")
def exact_origins(value: str) -> list[str]:
    """Parse a comma-separated list of origins as browsers send them: with a scheme, and without its default port."""
    read = _split(value.lower())
    for origin in read:
        if not _is_origin(origin) or re.match(r"https:.*:443$|http:.*:80$", origin):
            raise EnvValidationError(
                f"{origin!r} is not an origin. Write https://example.org or http://localhost:3000, without a path, a "
                "slash at the end, wildcards, quotes or the scheme's default port.",
                [value],
            )
    return read


@env.parser_for("mount_path")
def mount_path(value: str) -> str:
    """Parse the path under which the site is served, such as /booking. Empty for the root."""
    if not re.fullmatch(r"(/[\w~-][\w.~-]*)*", value, re.ASCII):
        raise EnvValidationError(f"{value!r} must be a path such as /booking, without a slash at the end.", [value])
    return value


def _split(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _is_origin(text: str) -> bool:
    match = re.fullmatch(r"https?://(.+?)(?::([0-9]{1,5}))?", text)
    return bool(match and _is_host(match[1]) and 1 <= int(match[2] or 1) <= MAX_PORT)


def _is_host(text: str) -> bool:
    """Return whether this is a host name, an IPv4 address, or an IPv6 address in brackets."""
    if text.startswith("[") and text.endswith("]"):
        try:
            return not IPv6Address(text[1:-1]).scope_id
        except ValueError:
            return False
    return all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label, re.I) for label in text.split("."))


@env.parser_for("database")
def database(
    value: str, *, lock_timeout: str, statement_timeout: str, pool_size: int, is_pooled: bool
) -> dict[str, Any]:
    """Parse the URL of a PostgreSQL or SQLite database. The test suite runs on both.

    The other arguments apply to PostgreSQL: the maximum wait for a lock, the maximum duration of a statement, and the
    maximum number of connections in the pool of this process. With ``pool_size`` 0, each thread keeps its own
    connection. ``is_pooled`` means that PgBouncer in transaction mode is between the service and PostgreSQL.
    """
    try:
        config: dict[str, Any] = {**dj_database_url.parse(value)}
    except ValueError as error:
        raise EnvValidationError(str(error), [value]) from None
    if config["NAME"] in ("", ":memory:"):
        raise EnvValidationError("the URL must name a database, and not an in-memory one.", [value])
    if config["ENGINE"] == POSTGRESQL:
        config["ENGINE"] = "eventmanagement.database.postgresql"
        _check_parameters(value, _postgresql_parameters(config))
        if is_pooled and "assume_role" in config.get("OPTIONS", {}):
            # PgBouncer would keep the role for other clients, and run transactions on connections without it.
            raise EnvValidationError("assume_role does not work with DATABASE_POOLED.", [value])
        _check_ports(value, config)
        limits = {
            "lock_timeout": milliseconds(lock_timeout),
            "statement_timeout": milliseconds(statement_timeout),
            # A process that hangs in the middle of a transaction keeps its row locks. Limit that to the same time as a
            # statement, after which PostgreSQL ends the transaction.
            "idle_in_transaction_session_timeout": milliseconds(statement_timeout),
        }
        _set_up_postgresql(config, limits, pool_size, is_pooled)
    elif config["ENGINE"] == SQLITE:
        _check_parameters(value, SQLITE_PARAMETERS)
        _set_up_sqlite(config)
    else:
        raise EnvValidationError("only postgres:// and sqlite:// are supported.", [value])
    return config


def _postgresql_parameters(config: dict[str, Any]) -> set[str]:
    """Return the names of the parameters that the URL may have.

    They are the options of Django and of the installed libpq, except those that the rest of the URL sets. A parameter
    with such a name would have no effect.
    """
    libpq = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    already_set = {name for name in ("host", "password", "port", "user") if config[name.upper()]}
    return (libpq | DJANGO_PARAMETERS) - UNSUPPORTED_PARAMETERS - already_set


def _check_parameters(url: str, known: set[str]) -> None:
    """Check the query string of a database's URL. The messages contain no values, which may be secret."""
    seen = set()
    for name, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in known:
            raise EnvValidationError(f"the parameter {name!r} is unknown, or the URL sets it elsewhere.", [url])
        if name in seen:
            raise EnvValidationError(f"the parameter {name!r} occurs twice.", [url])
        if not re.fullmatch(PARAMETER_FORMATS.get(name, ".+"), text):
            raise EnvValidationError(f"the value of the parameter {name!r} is invalid.", [url])
        seen.add(name)


def _check_ports(url: str, config: dict[str, Any]) -> None:
    """Check the ports of several hosts. libpq would only do so when it connects to each of them."""
    options = config.get("OPTIONS", {})
    hosts = options.get("hostaddr") or options.get("host") or config["HOST"]
    ports = str(options.get("port", config["PORT"])).split(",")
    if any(int(port or 1) not in range(1, MAX_PORT + 1) for port in ports):
        raise EnvValidationError(f"a port must be a number from 1 to {MAX_PORT}.", [url])
    # The hosts may also come from PGHOST or from a service file.
    if hosts and len(ports) not in (1, len(hosts.split(","))):
        raise EnvValidationError("there must be one port for each host, or one for all.", [url])


def _set_up_postgresql(config: dict[str, Any], limits: dict[str, int], pool_size: int, is_pooled: bool) -> None:
    """Keep connections open, in a pool or in each thread, check them before use, and set the timeouts."""
    options = config.setdefault("OPTIONS", {})
    if is_pooled:
        # PgBouncer refuses or ignores startup options, so the database backend sets the limits
        # (database/postgresql/pooler.py). Outside of a transaction, a server-side cursor would need the same server
        # connection for several transactions.
        config |= {"SESSION_LIMITS": limits, "DISABLE_SERVER_SIDE_CURSORS": True}
    else:
        switches = [f"-c {name}={value}" for name, value in limits.items()]
        # Options from the URL come last and take precedence.
        options["options"] = " ".join([*switches, options.get("options", "")]).strip()
    # Server-side binding sends parameters separately from the SQL, so that a prepared statement can be reused. The
    # cursor decides which statements to prepare (postgresql/base.py). Without a threshold psycopg prepares none.
    options.setdefault("server_side_binding", True)
    options.setdefault("prepare_threshold", 0)
    for name, value in POSTGRESQL_OPTIONS.items():
        options.setdefault(name, value)
    if pool_size:
        options["pool"] = POOL | {"max_size": pool_size}
    else:
        config |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}


def _set_up_sqlite(config: dict[str, Any]) -> None:
    """Make writers wait for each other instead of failing with "database is locked", and make commits durable."""
    config["OPTIONS"] = {
        # Seconds that a writer waits for the lock.
        "timeout": 15,
        # Lock at the beginning of a transaction. A transaction that reads first and then writes would fail at once,
        # without waiting, if another writer has committed since the read.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    } | config.get("OPTIONS", {})
    # Tests use a file: Django's default, an in-memory database, can't be shared by the threads of the tests.
    config["TEST"] = {"NAME": f"{config['NAME']}.test"}
