"""The settings are read from environment variables. The tests load the settings file again for each case."""

import gc
import logging
import os
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from environs import EnvValidationError

from eventmanagement.environment import Rate, rate


def test_process_refuses_to_start_without_a_secret():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("secret", ["", " "])
def test_empty_secret_key_is_missing(read, secret):
    with pytest.raises(ImproperlyConfigured):
        read(SECRET_KEY=secret)


def test_development_needs_no_secret(read):
    assert read(DEBUG="true").SECRET_KEY


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "maybe"),
        ("DEBUG", ""),
        ("DEBUG", "2"),
        ("EVENTS_PUBLIC", "yes"),
        ("THROTTLE_EVENTS", "100"),
        ("THROTTLE_EVENTS", "none"),
        ("THROTTLE_LOGIN", "10"),
        ("THROTTLE_LOGIN", "0/min"),
        ("THROTTLE_LOGIN", "ten/min"),
        ("THROTTLE_LOGIN_ADDRESS", "100"),
        ("THROTTLE_LOGIN_ADDRESS", ""),
        ("THROTTLE_SIGNUP", "10/fortnight"),
        ("THROTTLE_SIGNUP", ""),
        ("LOCK_TIMEOUT", "3"),
        ("LOCK_TIMEOUT", "3s -c fsync=off"),
        ("BOOKING_LOCK_TIMEOUT", "1"),
        ("BOOKING_LOCK_TIMEOUT", "0s"),
        ("BOOKING_LOCK_TIMEOUT", ""),
        ("READ_TIMEOUT", "2"),
        ("READ_TIMEOUT", "off"),
        ("SCRIPT_NAME", "booking"),
        ("SCRIPT_NAME", "/booking/"),
        ("SCRIPT_NAME", "/"),
        ("SCRIPT_NAME", "//booking"),
        ("SCRIPT_NAME", "/a/../b"),
        ("SCRIPT_NAME", "/a b"),
        ("SCRIPT_NAME", "https://a.example/booking"),
        ("STATEMENT_TIMEOUT", "never"),
        ("DATABASE_WAIT", "never"),
        ("DATABASE_WAIT", "15s"),
        ("DATABASE_POOL_SIZE", "-1"),
        ("DATABASE_POOL_SIZE", "many"),
        ("DATABASE_POOLED", "transaction"),
        ("STATEMENT_TIMEOUT", "35792min"),
        ("STATEMENT_TIMEOUT", f"{2**31 - 2000}ms"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", " , "),
        ("ALLOWED_HOSTS", "http://a.example"),
        ("ALLOWED_HOSTS", '"a.example"'),
        ("ALLOWED_HOSTS", "'a.example,b.example'"),
        ("ALLOWED_HOSTS", "a.example:8000"),
        ("ALLOWED_HOSTS", "a.example b.example"),
        ("ALLOWED_HOSTS", "a.example/"),
        ("ALLOWED_HOSTS", "a.example."),
        ("ALLOWED_HOSTS", "a_b.example"),
        ("ALLOWED_HOSTS", "*.a.example"),
        ("ALLOWED_HOSTS", "..a.example"),
        ("ALLOWED_HOSTS", "."),
        ("ALLOWED_HOSTS", "[a.example]"),
        ("ALLOWED_HOSTS", "[192.0.2.1]"),
        ("ALLOWED_HOSTS", "[::1]:8000"),
        ("ALLOWED_HOSTS", "[::1%eth0]"),
        ("ALLOWED_HOSTS", "::1"),
        ("ALLOWED_HOSTS", "[]"),
        ("ALLOWED_HOSTS", "["),
        ("ALLOWED_HOSTS", "m\xfcnchen.example"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "null"),
        ("CORS_ALLOWED_ORIGINS", "app.example"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example/"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example/path"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example:443"),
        ("CORS_ALLOWED_ORIGINS", "http://app.example:80"),
        ("CORS_ALLOWED_ORIGINS", "https://*.app.example"),
        ("CORS_ALLOWED_ORIGINS", '"https://app.example"'),
        ("CORS_ALLOWED_ORIGINS", "https://app.example https://b.example"),
        ("CORS_ALLOWED_ORIGINS", "file://app.example"),
        ("CSRF_TRUSTED_ORIGINS", "://"),
        ("CSRF_TRUSTED_ORIGINS", "ftp://a.example"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example/"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example?b"),
        ("CSRF_TRUSTED_ORIGINS", "https://user@a.example"),
        ("CSRF_TRUSTED_ORIGINS", "'https://a.example'"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example:0"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example:65536"),
        ("CSRF_TRUSTED_ORIGINS", "https://*"),
        ("CSRF_TRUSTED_ORIGINS", "*"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "some"),
        ("TRUSTED_PROXIES", "1000"),
        ("TRUSTED_PROXIES", ""),
        ("DATABASE_URL", "mysql://localhost/events"),
        ("DATABASE_URL", "events"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "postgres://u:p@db"),
        ("DATABASE_URL", "postgres://u:p@db/n?pgbouncer=true"),
        ("DATABASE_URL", "postgres://u:p@db/n?pgbouncer"),
        ("DATABASE_URL", "postgres://u:p@db/n?ssl_mode=require"),
        ("DATABASE_URL", "postgres://u:p@db/n?SSLMODE=require"),
        ("DATABASE_URL", "postgres://u:p@db/n?sslmode=required"),
        ("DATABASE_URL", "postgres://u:p@db/n?sslmode=true"),
        ("DATABASE_URL", "postgres://u:p@db/n?sslmode="),
        ("DATABASE_URL", "postgres://u:p@db/n?sslmode=require&sslmode=require"),
        ("DATABASE_URL", "postgres://u:p@db/n?connect_timeout=3s"),
        ("DATABASE_URL", "postgres://u:p@db/n?target_session_attrs=writable"),
        ("DATABASE_URL", "postgres://u:p@db/n?host=other"),
        ("DATABASE_URL", "postgres:///n?host=h1,h2&port=5432,x"),
        ("DATABASE_URL", "postgres:///n?host=h1,h2&port=5432,5432,5432"),
        ("DATABASE_URL", "postgres:///n?host=h1&port=5432,5432"),
        ("DATABASE_URL", "postgres:///n?host=h1,h2,h3&hostaddr=10.0.0.1,10.0.0.2&port=1,2,3"),
        ("DATABASE_URL", "postgres:///n?host=h1,h2&port=5432,65536"),
        ("DATABASE_URL", "postgres:///n?host=h1,h2&port=0"),
        ("DATABASE_URL", "postgres://u:p@db/n?dbname=other"),
        ("DATABASE_URL", "postgres://u:p@db/n?replication=database"),
        ("DATABASE_URL", "postgres://u:p@db/n?pool=true"),
        ("DATABASE_URL", "postgres://u:p@db/n?isolation_level=serializable"),
        ("DATABASE_URL", "sqlite:///a.sqlite3?mode=ro"),
        ("DATABASE_URL", "sqlite:///a.sqlite3?timeout=5s"),
        ("DATABASE_URL", "sqlite:///a.sqlite3?sslmode=require"),
    ],
)
def test_invalid_value_stops_startup(read, variable, value):
    with pytest.raises(EnvValidationError, match=f'"{variable}" invalid'):
        read(**{"SECRET_KEY": "x", variable: value})


def test_defaults(read):
    defaults = read(SECRET_KEY="x")

    assert defaults.DEBUG is False
    assert defaults.BOOKING_LOCK_TIMEOUT == "1s"
    assert defaults.EVENTS_PUBLIC is True
    assert defaults.READ_TIMEOUT == "1500ms"
    assert defaults.DATABASE_WAIT == 17
    assert defaults.ALLOWED_HOSTS == ["localhost", "127.0.0.1"]
    assert defaults.CORS_ALLOWED_ORIGINS == []
    assert defaults.CSRF_TRUSTED_ORIGINS == ["https://localhost", "https://127.0.0.1"]
    assert defaults.THROTTLE_EVENTS == (100, timedelta(days=1))
    assert defaults.THROTTLE_LOGIN == (10, timedelta(minutes=1))
    assert defaults.THROTTLE_LOGIN_ADDRESS == (100, timedelta(hours=1))
    assert defaults.THROTTLE_SIGNUP == (1000, timedelta(days=1))
    assert defaults.DATABASES["default"]["NAME"] == str(settings.BASE_DIR / "db.sqlite3")
    assert defaults.DATABASES["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert defaults.REST_FRAMEWORK["NUM_PROXIES"] == 0
    assert defaults.SESSION_COOKIE_PATH == defaults.CSRF_COOKIE_PATH == "/"
    assert defaults.STATIC_URL == "/static/"
    assert defaults.SESSION_COOKIE_SECURE is defaults.CSRF_COOKIE_SECURE is True
    assert not hasattr(defaults, "SECURE_PROXY_SSL_HEADER")


@pytest.mark.parametrize(
    ("variable", "value", "setting", "expected"),
    [
        ("BOOKING_LOCK_TIMEOUT", "250ms", "BOOKING_LOCK_TIMEOUT", "250ms"),
        ("DEBUG", "1", "DEBUG", True),
        ("DEBUG", "TRUE", "SESSION_COOKIE_SECURE", False),
        ("EVENTS_PUBLIC", "false", "EVENTS_PUBLIC", False),
        ("EVENTS_PUBLIC", "0", "EVENTS_PUBLIC", False),
        ("ALLOWED_HOSTS", "a.example, b.example", "ALLOWED_HOSTS", ["a.example", "b.example"]),
        (
            "ALLOWED_HOSTS",
            ".A.example,192.0.2.1,[2001:db8::1],*",
            "ALLOWED_HOSTS",
            [".A.example", "192.0.2.1", "[2001:db8::1]", "*"],
        ),
        ("CSRF_TRUSTED_ORIGINS", "", "CSRF_TRUSTED_ORIGINS", []),
        (
            "CSRF_TRUSTED_ORIGINS",
            "https://*.A.example,[::1],http://[::1]:8000",
            "CSRF_TRUSTED_ORIGINS",
            ["https://*.a.example", "https://[::1]", "http://[::1]:8000"],
        ),
        (
            "CSRF_TRUSTED_ORIGINS",
            "a.example, http://b.example:8080",
            "CSRF_TRUSTED_ORIGINS",
            ["https://a.example", "http://b.example:8080"],
        ),
        (
            "CORS_ALLOWED_ORIGINS",
            "https://App.example, http://localhost:3000,http://[::1]:443",
            "CORS_ALLOWED_ORIGINS",
            ["https://app.example", "http://localhost:3000", "http://[::1]:443"],
        ),
        ("READ_TIMEOUT", "900ms", "READ_TIMEOUT", "900ms"),
        ("DATABASE_WAIT", "1min", "DATABASE_WAIT", 60),
        ("STATEMENT_TIMEOUT", "500ms", "DATABASE_WAIT", 2.5),
        ("STATEMENT_TIMEOUT", f"{2**31 - 2001}ms", "DATABASE_WAIT", (2**31 - 1) / 1000),
        ("SCRIPT_NAME", "/booking", "STATIC_URL", "/booking/static/"),
        ("SCRIPT_NAME", "/a/b.c-d_e~f", "SESSION_COOKIE_PATH", "/a/b.c-d_e~f"),
        ("THROTTLE_EVENTS", "off", "THROTTLE_EVENTS", None),
        ("THROTTLE_LOGIN", "off", "THROTTLE_LOGIN", None),
        ("THROTTLE_LOGIN_ADDRESS", "off", "THROTTLE_LOGIN_ADDRESS", None),
        ("THROTTLE_LOGIN_ADDRESS", "7/day", "THROTTLE_LOGIN_ADDRESS", (7, timedelta(days=1))),
        ("THROTTLE_SIGNUP", "5/hour", "THROTTLE_SIGNUP", (5, timedelta(hours=1))),
        ("TRUSTED_PROXIES", "2", "TRUSTED_PROXIES", 2),
        ("TRUSTED_PROXIES", "1", "SECURE_PROXY_SSL_HEADER", ("HTTP_X_FORWARDED_PROTO", "https")),
    ],
)
def test_variable_is_read(read, variable, value, setting, expected):
    assert getattr(read(**{"SECRET_KEY": "x", variable: value}), setting) == expected


def test_sqlite_file_is_read(read):
    database = read(SECRET_KEY="x", DATABASE_URL="sqlite:///elsewhere.sqlite3").DATABASES["default"]

    assert database["NAME"] == "elsewhere.sqlite3"


def test_postgresql_is_read(read):
    database = read(SECRET_KEY="x", DATABASE_URL="postgres://u:p@db:5433/n").DATABASES["default"]

    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db", 5433, "n")
    assert (database["USER"], database["PASSWORD"]) == ("u", "p")
    assert database["CONN_MAX_AGE"] is None
    assert database["CONN_HEALTH_CHECKS"] is True
    assert database["OPTIONS"]["connect_timeout"] == 3
    assert database["OPTIONS"]["tcp_user_timeout"] == 10_000


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("sslmode=verify-full&sslrootcert=/etc/ca.pem", {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}),
        ("connect_timeout=5&application_name=web", {"connect_timeout": 5, "application_name": "web"}),
        (
            "host=h1,h2&port=5432,5433&target_session_attrs=read-write",
            {"host": "h1,h2", "port": "5432,5433", "target_session_attrs": "read-write"},
        ),
        ("host=/run/postgresql&port=5433", {"host": "/run/postgresql", "port": 5433}),
        ("host=h1,h2&port=,5433", {"host": "h1,h2", "port": ",5433"}),
        ("host=h1,h2&port=65535", {"host": "h1,h2", "port": 65535}),
        ("service=events&port=1,2", {"service": "events", "port": "1,2"}),
        ("user=u&password=p", {"user": "u", "password": "p"}),
        ("service=events&passfile=/run/secrets/pgpass", {"service": "events", "passfile": "/run/secrets/pgpass"}),
        ("isolation_level=2&assume_role=web", {"isolation_level": 2, "assume_role": "web"}),
        ("server_side_binding=false&prepare_threshold=5", {"server_side_binding": False, "prepare_threshold": 5}),
        ("server_side_binding=True&connect_timeout=-1", {"server_side_binding": True, "connect_timeout": "-1"}),
    ],
)
def test_parameters_of_postgresql_are_read(read, query, options):
    database = read(SECRET_KEY="x", DATABASE_URL=f"postgres:///n?{query}").DATABASES["default"]

    assert database["OPTIONS"].items() >= options.items()


def test_schema_is_read(read):
    database = read(SECRET_KEY="x", DATABASE_URL="postgres://u:p@db/n?currentSchema=events").DATABASES["default"]

    assert database["OPTIONS"]["options"].endswith(" -c search_path=events")


def test_parameters_of_sqlite_are_read(read):
    url = "sqlite:///a.sqlite3?timeout=5&transaction_mode=deferred"

    database = read(SECRET_KEY="x", DATABASE_URL=url).DATABASES["default"]

    assert database["OPTIONS"]["timeout"] == 5
    # Django ignores its case.
    assert database["OPTIONS"]["transaction_mode"] == "deferred"


def test_timeouts_reach_the_database(read):
    database = read(
        SECRET_KEY="x", DATABASE_URL="postgres://u:p@db/n?options=-c%20work_mem=8MB", LOCK_TIMEOUT="500ms"
    ).DATABASES["default"]

    assert database["OPTIONS"]["options"] == (
        "-c lock_timeout=500 -c statement_timeout=15000 -c idle_in_transaction_session_timeout=15000 -c work_mem=8MB"
    )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:sesame@db/n",
        "postgres://user:sesame@db/n?unknown=1",
        "postgres://user:a@db/n?password=sesame",
        "postgres://db/n?password=sesame&password=sesame",
        "postgres://db/n?password=sesame&sslmode=sesame",
    ],
)
def test_password_of_a_bad_database_url_is_not_shown(read, url):
    with pytest.raises(EnvValidationError) as refusal:
        read(SECRET_KEY="x", DATABASE_URL=url)

    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize("period", ["h", "hour"])
def test_rate_is_read(period):
    assert rate(f"3/{period}") == Rate(3, timedelta(hours=1))


def test_gunicorn_reads_the_environment(read):
    defaults = read("gunicorn.conf.py")
    changed = read("gunicorn.conf.py", WEB_CONCURRENCY="3", PORT="8001", KEEPALIVE="120")

    assert 1 <= defaults.workers <= 2 * os.cpu_count()
    assert defaults.threads > 1
    assert defaults.bind == "127.0.0.1:8000"
    assert defaults.keepalive > 60
    assert (changed.workers, changed.bind, changed.keepalive) == (3, "127.0.0.1:8001", 120)


def test_number_of_workers_is_capped_with_a_warning(read, caplog):
    server = SimpleNamespace(log=logging.getLogger("gunicorn"))
    capped = read("gunicorn.conf.py", WEB_CONCURRENCY="999")
    capped.on_starting(server)

    assert capped.workers == 2 * capped.cores
    assert caplog.messages == [
        f"WEB_CONCURRENCY=999 is more than twice the number of cores: starting {capped.workers} workers"
    ]
    caplog.clear()
    read("gunicorn.conf.py", WEB_CONCURRENCY=str(capped.workers)).on_starting(server)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("workers", "pool_size", "is_warned"), [(45, None, False), (46, None, True), (64, None, True), (64, "1", False)]
)
def test_too_many_connections_are_a_warning(read, caplog, monkeypatch, workers, pool_size, is_warned):
    """Without a warning if DATABASE_POOL_SIZE is set: then the administrator knows the number of connections."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    chosen = {"DATABASE_POOL_SIZE": pool_size} if pool_size else {}
    server = SimpleNamespace(log=logging.getLogger("gunicorn"))
    read("gunicorn.conf.py", WEB_CONCURRENCY=str(workers), **chosen).on_starting(server)

    assert os.environ["DATABASE_POOL_SIZE"] == "1"
    expected = (
        f"{workers} workers may open {2 * workers} connections to PostgreSQL: raise max_connections of PostgreSQL, "
        "which is 100 by default, and set DATABASE_POOL_SIZE"
    )
    assert caplog.messages == ([expected] if is_warned else [])


@pytest.mark.parametrize(("debug", "formatter"), [("true", "plain"), ("false", "json")])
def test_log_is_plain_text_only_with_debug(read, debug, formatter):
    assert read(SECRET_KEY="x", DEBUG=debug).LOGGING["handlers"]["stdout"]["formatter"] == formatter


def test_shared_objects_are_frozen(read):
    read("gunicorn.conf.py").when_ready(SimpleNamespace(handle_term=None))
    frozen = gc.get_freeze_count()
    gc.unfreeze()

    assert frozen


@pytest.mark.parametrize("variable", ["KEEPALIVE", "PORT", "WEB_CONCURRENCY"])
@pytest.mark.parametrize("value", ["0", "", "-1", "1.5", "1_0", "\u0661", "100000", "9" * 5000, "abc", "8000/tcp"])
def test_gunicorn_refuses_nonsense(read, variable, value):
    with pytest.raises(EnvValidationError, match=f'"{variable}" invalid: .* must be a whole number from 1 to '):
        read("gunicorn.conf.py", **{variable: value})


@pytest.mark.parametrize("value", ["", "-1", "1.5", "100000", "soon"])
def test_drain_seconds_must_be_a_number(read, value):
    with pytest.raises(EnvValidationError, match='"DRAIN_SECONDS" invalid'):
        read("gunicorn.conf.py", DRAIN_SECONDS=value)


@pytest.mark.parametrize(("cores", "workers", "size"), [(2, 2, 15), (13, 13, 5), (64, 90, 1)])
def test_default_pool_size_depends_on_the_number_of_workers(read, monkeypatch, cores, workers, size):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))

    read("gunicorn.conf.py", WEB_CONCURRENCY=str(workers))

    assert os.environ["DATABASE_POOL_SIZE"] == str(size)


def test_pool_size_can_be_set(read):
    read("gunicorn.conf.py", DATABASE_POOL_SIZE="3")

    assert os.environ["DATABASE_POOL_SIZE"] == "3"


def test_pool_replaces_the_connections_of_threads(read):
    url = "postgres://u:p@db/n"
    pooled = read(SECRET_KEY="x", DATABASE_URL=url, DATABASE_POOL_SIZE="3").DATABASES["default"]
    own = read(SECRET_KEY="x", DATABASE_URL=url).DATABASES["default"]

    assert pooled["OPTIONS"]["pool"] == {"max_size": 3, "timeout": 5, "max_idle": 60}
    assert pooled["CONN_MAX_AGE"] == 0
    assert "pool" not in own["OPTIONS"]
    assert own["CONN_MAX_AGE"] is None


def test_role_of_a_session_is_refused_behind_pgbouncer(read):
    url = "postgres://u:p@db/n?assume_role=other"

    assert read(SECRET_KEY="x", DATABASE_URL=url).DATABASES["default"]["OPTIONS"]["assume_role"] == "other"
    with pytest.raises(EnvValidationError, match="assume_role"):
        read(SECRET_KEY="x", DATABASE_URL=url, DATABASE_POOLED="true")


def test_pgbouncer_gets_no_startup_options(read):
    database = read(SECRET_KEY="x", DATABASE_URL="postgres://u:p@db/n", DATABASE_POOLED="true").DATABASES["default"]

    assert "options" not in database["OPTIONS"]
    assert database["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert database["SESSION_LIMITS"]["lock_timeout"] == 3000
