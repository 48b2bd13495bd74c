"""What is said of what goes wrong."""

from __future__ import annotations

import pytest

from nicarbon.errors import warn_once


def test_a_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    for topic in ('test of one', 'test of another', 'test of one'):
        warn_once(topic, f'{topic}: 100 %s')
    assert [each.message for each in caplog.records] == [
        'test of one: 100 %s',
        'test of another: 100 %s',
    ]
    assert {each.name for each in caplog.records} == {'nicarbon'}
