"""The pages in a real browser: offline, without a complaint, wide and narrow."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium'),
]


def load(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """Load a page with the network off; return its DOM and what the console said."""
    done = subprocess.run(
        [
            CHROMIUM,
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
            '--no-first-run',
            '--host-resolver-rules=MAP * ~NOTFOUND',
            '--enable-logging=stderr',
            f'--user-data-dir={profile}',
            *flags,
            '--dump-dom',
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    return done.stdout, said


def test_the_check_sees_errors(tmp_path: Path) -> None:
    page = tmp_path / 'bad.html'
    page.write_text(
        '<script>undefined_function()</script><img src="http://example.org/x.png">', 'utf-8'
    )
    _, said = load(page, tmp_path / 'profile')
    assert any('undefined_function' in line for line in said)


@pytest.mark.parametrize('name', ['sub-01.html', 'sub-02.html', 'group_carbon.html'])
def test_pages_load_offline_without_a_word(ran: Path, tmp_path: Path, name: str) -> None:
    dom, said = load(ran / 'out' / name, tmp_path / 'profile')
    assert said == []
    assert '</html>' in dom
    assert 'mgCO2e' in dom or 'gCO2e' in dom


@pytest.mark.parametrize('width', [400, 1400])
@pytest.mark.parametrize('name', ['sub-01.html', 'group_carbon.html'])
def test_pages_do_not_overflow(ran: Path, tmp_path: Path, name: str, width: int) -> None:
    """No page is wider than its window: wide tables scroll inside themselves."""
    frame = html.escape((ran / 'out' / name).read_text('utf-8'))
    probe = tmp_path / name
    # A frame of the width asked for: a headless window cannot be as narrow as a phone.
    probe.write_text(
        f'<iframe id="f" width="{width}" height="900" style="border:0" srcdoc="{frame}"></iframe>'
        '<script>f.onload = () => { const page = f.contentDocument.documentElement;'
        ' document.title = "overflow " + (page.scrollWidth - page.clientWidth); }</script>',
        'utf-8',
    )
    dom, _ = load(probe, tmp_path / 'profile')
    title = dom.partition('<title>')[2].partition('</title>')[0]
    assert title.startswith('overflow ')
    assert int(title.split()[1]) <= 0
