"""The settings are read from environment variables. The tests load the settings file again for each case."""

import gc
import logging
import os
import runpy
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from environs import EnvValidationError

from eventmanagement.environment import Rate, rate
from tests.postgres import SETTINGS


@pytest.fixture
def read(monkeypatch):
    """Load a settings file with only these environment variables."""

    def run(path="eventmanagement/settings.py", **environment):
        for name in [*SETTINGS, "DATABASE_URL", "SECRET_KEY", "WEB_CONCURRENCY", "PORT"]:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return SimpleNamespace(**runpy.run_path(str(settings.BASE_DIR / path)))

    return run


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
        ("STATEMENT_TIMEOUT", "35792min"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "http://a.example"),
        ("CSRF_TRUSTED_ORIGINS", "://"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "some"),
        ("TRUSTED_PROXIES", "1000"),
        ("TRUSTED_PROXIES", ""),
        ("DATABASE_URL", "mysql://localhost/events"),
        ("DATABASE_URL", "events"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "postgres://u:p@db"),
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
    assert defaults.ALLOWED_HOSTS == ["localhost", "127.0.0.1"]
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
            "CSRF_TRUSTED_ORIGINS",
            "a.example, http://b.example:8080",
            "CSRF_TRUSTED_ORIGINS",
            ["https://a.example", "http://b.example:8080"],
        ),
        ("READ_TIMEOUT", "900ms", "READ_TIMEOUT", "900ms"),
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


def test_timeouts_reach_the_database(read):
    database = read(
        SECRET_KEY="x", DATABASE_URL="postgres://u:p@db/n?options=-c%20work_mem=8MB", LOCK_TIMEOUT="500ms"
    ).DATABASES["default"]

    assert database["OPTIONS"]["options"] == (
        "-c lock_timeout=500ms -c statement_timeout=15s -c idle_in_transaction_session_timeout=15s -c work_mem=8MB"
    )


def test_password_of_a_bad_database_url_is_not_shown(read):
    with pytest.raises(EnvValidationError) as refusal:
        read(SECRET_KEY="x", DATABASE_URL="mysql://user:sesame@db/n")

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


def test_shared_objects_are_frozen(read):
    read("gunicorn.conf.py").when_ready(None)
    frozen = gc.get_freeze_count()
    gc.unfreeze()

    assert frozen


@pytest.mark.parametrize("variable", ["KEEPALIVE", "PORT", "WEB_CONCURRENCY"])
@pytest.mark.parametrize("value", ["0", "", "-1", "1.5", "1_0", "\u0661", "100000", "9" * 5000, "abc", "8000/tcp"])
def test_gunicorn_refuses_nonsense(read, variable, value):
    with pytest.raises(EnvValidationError, match=f'"{variable}" invalid: .* must be a whole number from 1 to '):
        read("gunicorn.conf.py", **{variable: value})
