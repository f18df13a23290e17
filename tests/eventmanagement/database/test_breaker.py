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


def test_any_number_waits_while_nobody_times_out(breaker):
    assert not is_refused(breaker, 1)


def test_one_at_a_time_waits_after_a_timeout(breaker):
    time_out(breaker, 1)

    assert is_refused(breaker, 1)


def test_timeout_is_raised(breaker):
    with pytest.raises(OperationalError), breaker.guard(1):
        raise error(OperationalError, "55P03")


def test_whoever_gets_through_lets_everyone_in(breaker):
    time_out(breaker, 1)

    with breaker.guard(1):
        pass

    assert not is_refused(breaker, 1)


def test_attempt_that_times_out_is_followed_by_one_other(breaker):
    time_out(breaker, 1)
    time_out(breaker, 1)

    assert is_refused(breaker, 1)


def test_other_rows_are_not_touched(breaker):
    time_out(breaker, 1)

    assert not is_refused(breaker, 2)


def test_one_at_a_time_waits_for_all_rows_that_timed_out(breaker):
    for row in (1, 2, 3):
        time_out(breaker, row)

    with breaker.guard(1):
        for row in (2, 3):
            with pytest.raises(Unavailable), breaker.guard(row):
                pass


@pytest.mark.parametrize("failure", [None, error(OperationalError, "55P03"), ZeroDivisionError()], ids=repr)
def test_attempt_that_ends_lets_another_row_be_tried(breaker, failure):
    time_out(breaker, 1)
    time_out(breaker, 2)

    with suppress(OperationalError, ZeroDivisionError), breaker.guard(1):
        if failure:
            raise failure

    assert is_refused(breaker, 2)
    assert not is_refused(breaker, 2)


def test_row_that_never_timed_out_is_waited_for_meanwhile(breaker):
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
def test_other_failure_leaves_it_as_it_is(breaker, failure, timed_out):
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


def test_late_success_lets_everyone_in(breaker):
    late = breaker.guard(1)
    late.__enter__()
    time_out(breaker, 1)

    with breaker.guard(1):
        late.__exit__(None, None, None)
        with breaker.guard(1):
            pass


def test_attempt_at_a_row_that_is_forgotten_meanwhile_still_counts(breaker, monkeypatch):
    monkeypatch.setattr(module, "MOST_OPEN", 1)
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


def test_rows_that_nobody_asks_for_any_more_are_forgotten(breaker, monkeypatch):
    monkeypatch.setattr(module, "MOST_OPEN", 3)
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
