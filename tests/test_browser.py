"""The pages in a real browser: offline, without a complaint, wide and narrow."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

import pytest
import report_data

from nicarbon.report.pages import subject_page
from nicarbon.stage import stages

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
    assert overflow((ran / 'out' / name).read_text('utf-8'), width, tmp_path) <= 0


@pytest.mark.parametrize('width', [400, 1400])
def test_a_page_with_programs_does_not_overflow(tmp_path: Path, width: int) -> None:
    entries = report_data.recon_all()
    _, subjects, sharing = report_data.summaries(entries)
    context = report_data.context(entries, sharing, pipeline=stages('freesurfer', 7))
    page = subject_page(subjects, {}, context).replace('<details', '<details open')
    assert '<details open class="programs">' in page
    assert overflow(page, width, tmp_path) <= 0


def overflow(page: str, width: int, folder: Path) -> int:
    """By how many pixels a page is wider than a window of some width."""
    probe = folder / 'probe.html'
    # A frame of the width asked for: a headless window cannot be as narrow as a phone.
    probe.write_text(
        f'<iframe id="f" width="{width}" height="900" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
        '<script>f.onload = () => { const page = f.contentDocument.documentElement;'
        ' document.title = "overflow " + (page.scrollWidth - page.clientWidth); }</script>',
        'utf-8',
    )
    dom, _ = load(probe, folder / 'profile')
    title = dom.partition('<title>')[2].partition('</title>')[0]
    assert title.startswith('overflow ')
    return int(title.split()[1])
