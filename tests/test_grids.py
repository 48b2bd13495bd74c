"""Every grid keeps the same contract; no zone is ever guessed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from nicarbon.errors import GridError
from nicarbon.grids import parse

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
TRACE = 'FR_2026_hourly.csv'


@pytest.fixture
def _trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / TRACE).write_text(
        'datetime (UTC),g_per_kwh\n2025-12-31 23:00,30\n2026-01-01 00:00,30\n'
    )


@pytest.mark.usefixtures('_trace')
@pytest.mark.parametrize(
    'text', [None, 'world', '30', '0', 'FR', 'fra', 'GB', 'CA-QC', 'US-CA', 'SE3', 'CN-BJ', TRACE]
)
def test_the_contract_of_a_grid(text: str | None) -> None:
    intensity = parse(text).over(NOW, NOW)
    assert 0 <= intensity.low <= intensity.g_per_kwh <= intensity.high < 3000
    assert intensity.zone
    assert intensity.source
    assert intensity.kind
    assert (intensity.tier == 'assumed') == (text in {None, 'world'})
    whole = parse(text).whole()
    # Of all grids, a trace alone knows times.
    assert whole == intensity or text == TRACE
    assert whole.g_per_kwh == intensity.g_per_kwh


def test_a_province_is_not_its_country() -> None:
    quebec, canada = (parse(zone).over(NOW, NOW) for zone in ('CA-QC', 'CA'))
    assert quebec.g_per_kwh == pytest.approx(31, abs=4)  # Statistics Canada's figure is 30
    assert canada.g_per_kwh == pytest.approx(170, abs=1)  # what fMRIPrep uses for 'CAN'


def test_both_country_codes_are_one_zone() -> None:
    assert parse('FR').over(NOW, NOW) == parse('FRA').over(NOW, NOW)


@pytest.mark.parametrize(
    ('text', 'near'),
    [
        ('France', 'FR'),
        ('Quebec', 'CA-QC'),
        ('CA-QX', 'CA-QC'),
        ('germany', 'DE'),
        ('USA-CA', 'US'),
    ],
)
def test_an_unknown_zone_names_its_neighbours(text: str, near: str) -> None:
    with pytest.raises(GridError, match=f'did you mean .*{near}'):
        parse(text)


def test_the_uk_is_gb() -> None:
    with pytest.raises(GridError, match=r'did you mean GB \(United Kingdom\)\?'):
        parse('UK')


@pytest.mark.parametrize('text', ['', 'nowhere', 'NO-SE3', '../FR', '-1', 'nan', 'inf', 'Z' * 500])
def test_nonsense_is_an_error(text: str) -> None:
    with pytest.raises(GridError):
        parse(text)
