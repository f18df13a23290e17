"""The output of the benchmark."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests.benchmark.__main__ import STOCK, THIS, Run, Workload, picture, table


@pytest.fixture
def measured():
    workload = Workload("book, one event", 201, "", lambda file: [])
    workload.runs[THIS] = [Run(rate, 1.5, 10, 20) for rate in (90, 100, 130)]
    workload.runs[STOCK] = [Run(40, 4.5, 30, 60)]
    return [workload]


def test_table_has_rates_spread_and_ratios(measured):
    assert f"| book, one event | {THIS} | 100 (90-130) | 2.50 | 1.50 | 10, 20 |" in table(measured)


def test_bars_are_as_long_as_the_rates(measured):
    bars = ElementTree.fromstring(picture(measured)).findall("{http://www.w3.org/2000/svg}rect")[1:]

    assert [bar.get("width") for bar in bars] == ["400", "160"]
