"""Small files of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from nicarbon.kernel import number, text


@pytest.mark.parametrize(
    ('shown', 'meant', 'counted'),
    [(b' 42\n', '42', 42.0), (b'', '', None), (b'Esocket0\n', 'Esocket0', None),
     (b'\xff', '\ufffd', None), (b'-1.5', '-1.5', -1.5)],
)  # fmt: skip
def test_what_is_shown(tmp_path: Path, shown: bytes, meant: str, counted: float | None) -> None:
    path = tmp_path / 'file'
    path.write_bytes(shown)
    assert text(path) == text(str(path)) == meant
    assert number(path) == counted


def test_what_cannot_be_read_shows_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / 'none', '/proc/self/mem', 'a\0b'):
        assert (text(path), number(path)) == ('', None)


def test_no_more_is_read_than_asked_for(tmp_path: Path) -> None:
    path = tmp_path / 'long'
    path.write_text('0123456789' * 10_000)
    assert text(path, 12) == '012345678901'
    assert len(text(path)) == 100_000
