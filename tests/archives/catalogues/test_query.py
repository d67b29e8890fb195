"""Boxes and spans of time that a catalogue is asked for."""

from datetime import UTC, datetime

import pytest

from spatioformer.archives.catalogues.query import Query, boxes_of, span_of
from spatioformer.common.errors import ConfigError


def test_boxes():
    assert boxes_of((10, 12, 40, 41)) == ((10, 40, 12, 41),)
    assert boxes_of((178, -179, -20, -15)) == ((178, -20, 180, -15), (-180, -20, -179, -15))
    assert boxes_of((180, -179, -20, -15)) == ((-180, -20, -179, -15),)


@pytest.mark.parametrize(
    ("season", "interval"),
    [
        (None, "2020-01-01T00:00:00Z/2020-12-31T23:59:59Z"),
        (("02-01", "02-28"), "2020-02-01T00:00:00Z/2020-02-28T23:59:59Z"),
        (("10-01", "03-31"), "2020-10-01T00:00:00Z/2021-03-31T23:59:59Z"),
        (("12-31", "12-31"), "2020-12-31T00:00:00Z/2020-12-31T23:59:59Z"),
    ],
)
def test_spans(season, interval):
    assert Query((), *span_of(2020, season)).interval == interval


def test_a_day_that_is_none():
    with pytest.raises(ConfigError, match="the day '02-30', which 2020 has not; write MM-DD"):
        span_of(2020, ("02-01", "02-30"))
    assert span_of(2020, None)[0] == datetime(2020, 1, 1, tzinfo=UTC)
