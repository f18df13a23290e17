from contextlib import suppress

import pytest
from django.db import IntegrityError, OperationalError

from eventmanagement.database import breaker as module
from eventmanagement.database.breaker import LockBreaker
from eventmanagement.database.errors import Unavailable


@pytest.fixture
def breaker():
    return LockBreaker()


def error(kind, sqlstate):
    failed = kind("failed")
    failed.__cause__ = type("Cause", (Exception,), {"sqlstate": sqlstate})()
    return failed


def time_out(breaker, row):
    with suppress(OperationalError), breaker.guard(row):
        raise error(OperationalError, "55P03")


def is_refused(breaker, row):
    """Return whether a second attempt is refused while a first one is waiting. Otherwise both succeed."""
    with breaker.guard(row):
        try:
            with breaker.guard(row):
                return False
        except Unavailable:
            return True


def test_closed_breaker_lets_all_wait(breaker):
    assert not is_refused(breaker, 1)


def test_open_breaker_lets_one_wait(breaker):
    time_out(breaker, 1)

    assert is_refused(breaker, 1)


def test_timeout_is_raised(breaker):
    with pytest.raises(OperationalError), breaker.guard(1):
        raise error(OperationalError, "55P03")


def test_success_closes_breaker(breaker):
    time_out(breaker, 1)

    with breaker.guard(1):
        pass

    assert not is_refused(breaker, 1)


def test_attempt_that_times_out_is_followed_by_one_other(breaker):
    time_out(breaker, 1)
    time_out(breaker, 1)

    assert is_refused(breaker, 1)


def test_breaker_is_per_row(breaker):
    time_out(breaker, 1)

    assert not is_refused(breaker, 2)


def test_only_one_thread_waits_for_open_breakers(breaker):
    for row in (1, 2, 3):
        time_out(breaker, row)

    with breaker.guard(1):
        for row in (2, 3):
            with pytest.raises(Unavailable), breaker.guard(row):
                pass


@pytest.mark.parametrize("failure", [None, error(OperationalError, "55P03"), ZeroDivisionError()], ids=repr)
def test_finished_attempt_allows_another_row(breaker, failure):
    time_out(breaker, 1)
    time_out(breaker, 2)

    with suppress(OperationalError, ZeroDivisionError), breaker.guard(1):
        if failure:
            raise failure

    assert is_refused(breaker, 2)
    assert not is_refused(breaker, 2)


def test_closed_breaker_is_unaffected(breaker):
    time_out(breaker, 1)

    with breaker.guard(1):
        assert not is_refused(breaker, 2)


@pytest.mark.parametrize(
    "failure",
    [
        error(IntegrityError, "23505"),
        error(OperationalError, "57P01"),
        OperationalError("no connection"),
        ZeroDivisionError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("timed_out", [True, False])
def test_other_error_keeps_state(breaker, failure, timed_out):
    if timed_out:
        time_out(breaker, 1)

    with pytest.raises(type(failure)), breaker.guard(1):
        raise failure

    assert is_refused(breaker, 1) is timed_out


def test_late_timeout_does_not_let_a_second_attempt_in(breaker):
    late = breaker.guard(1)
    late.__enter__()
    time_out(breaker, 1)

    with breaker.guard(1):
        with suppress(OperationalError):
            late.__exit__(OperationalError, error(OperationalError, "55P03"), None)
        with pytest.raises(Unavailable), breaker.guard(1):
            pass


def test_late_success_closes_breaker(breaker):
    late = breaker.guard(1)
    late.__enter__()
    time_out(breaker, 1)

    with breaker.guard(1):
        late.__exit__(None, None, None)
        with breaker.guard(1):
            pass


def test_attempt_of_evicted_row_still_counts(breaker, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN", 1)
    time_out(breaker, 1)

    with breaker.guard(1):
        time_out(breaker, 2)
        with pytest.raises(Unavailable), breaker.guard(2):
            pass


def test_refused_attempt_does_not_end_the_one_under_way(breaker):
    time_out(breaker, 1)

    with breaker.guard(1):
        for _ in range(2):
            with pytest.raises(Unavailable), breaker.guard(1):
                pass


def test_oldest_open_breakers_are_evicted(breaker, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN", 3)
    for row in (1, 2, 3, 1, 4):
        time_out(breaker, row)

    # The timeout of row 2 was the earliest.
    assert len(breaker._open) == 3
    assert [is_refused(breaker, row) for row in (1, 2, 3, 4)] == [True, False, True, True]


def test_closed_rows_are_not_kept(breaker):
    for row in range(10):
        time_out(breaker, row)
        with breaker.guard(row):
            pass
        with suppress(ZeroDivisionError), breaker.guard(row):
            raise ZeroDivisionError

    assert breaker._open == {}
