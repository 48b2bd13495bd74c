"""The pages in a real browser, offline: what they offer, wide and narrow, by keyboard, on paper."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_data as data
from values import replace

from nicarbon.account import PUE
from nicarbon.report.pages import subject_page
from nicarbon.stage import every, stages

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
TOOLS = CHROMIUM and shutil.which('pdftotext')

pytestmark = [
    pytest.mark.browser,
    # Where the project is checked as a whole, nothing may be missing.
    pytest.mark.skipif(
        not TOOLS and 'CONTINUOUS_INTEGRATION' not in os.environ,
        reason='needs Chromium and poppler-utils',
    ),
]

HOSTILE = '</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\'"&'
A4 = 595, 842
"""Points."""


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """One for all: Debian's Chromium, which pages cannot use to reach anything."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND']
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Any]]:
    """Load a page with the network off; ``page.said`` is what the browser complained of."""
    opened = []

    def load(path: Path, width: int = 1400, **options: Any) -> Any:
        size = {'width': width, 'height': 900}
        opened.append(browser.new_context(offline=True, viewport=size, **options))
        page = opened[-1].new_page()
        page.set_default_timeout(10_000)
        page.said = []
        page.on('console', lambda message: page.said.append(message.text))
        page.on('pageerror', lambda error: page.said.append(str(error)))
        page.on('dialog', lambda dialog: (page.said.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        return page

    yield load
    for context in opened:
        context.close()


def write(folder: Path, entries, names: list[str], **changes) -> Path:
    """Pages of a group and of some of its subjects."""
    dataset, subjects, sharing = data.summaries(entries, data.WORLD, PUE(1.2))
    context = data.context(entries, sharing, **changes)
    links = {one.subject: f'sub-{one.subject}.html' for one in subjects}
    page = data.group(dataset, subjects, links, context, {'group_carbon.tsv': 'a\tb\n'})
    (folder / 'group_carbon.html').write_text(page, 'utf-8')
    for name in names:
        mine = [one for one in subjects if one.subject == name]
        (folder / f'sub-{name}.html').write_text(subject_page(mine, {}, context), 'utf-8')
    return folder


@pytest.fixture(scope='module')
def crowd(tmp_path_factory) -> Path:
    """Forty participants, one of whom took long; stages that failed, were killed or cached."""
    return write(tmp_path_factory.mktemp('crowd'), data.crowd(40), ['01', '06', '18'])


@pytest.fixture(scope='module')
def pipelines(tmp_path_factory) -> Path:
    """Twenty-eight participants, each by two pipelines."""
    entries = data.two_pipelines(28)
    return write(tmp_path_factory.mktemp('pipelines'), entries, ['01'], pipeline=every())


@pytest.fixture(scope='module')
def recon_all(tmp_path_factory) -> Path:
    """A participant with the programs of each of FreeSurfer's stages."""
    pipeline = stages('freesurfer', 7)
    folder = tmp_path_factory.mktemp('recon_all')
    return write(folder, data.recon_all(), ['01'], pipeline=pipeline)


def table(page, name: str) -> Any:
    """The table in the region of some name."""
    return page.get_by_role('region', name=name, exact=True).locator('table')


def handle(of, heading: str) -> Any:
    """What sorts a table by a column."""
    return of.locator('thead [role=button]', has_text=heading)


def column(of, heading: str) -> list[str]:
    """What stands below a heading in the rows that are shown."""
    return of.evaluate(
        """(table, heading) => {
            const heads = [...table.tHead.rows[0].cells];
            const place = heads.findIndex((head) => head.innerText.startsWith(heading));
            return [...table.tBodies[0].rows]
                .filter((row) => !row.hidden && row.cells.length > 1)
                .map((row) => row.cells[place].innerText);
        }""",
        heading,
    )


def seconds(text: str) -> float:
    """Of a printed time span, as fine as it is printed; nothing is before all."""
    units = {'h': 3600, 'min': 60, 's': 1}
    return sum(float(n) * units[unit] for n, unit in re.findall(r'([\d.]+) (h|min|s)', text))


class TestLoading:
    def test_the_check_sees_errors(self, visit, tmp_path):
        bad = '<script>undefined_function()</script><img src="http://example.org/x.png">'
        (tmp_path / 'bad.html').write_text(bad, 'utf-8')
        page = visit(tmp_path / 'bad.html')
        assert any('undefined_function' in words for words in page.said)
        assert any('ERR_INTERNET_DISCONNECTED' in words for words in page.said)

    @pytest.mark.heavy
    @pytest.mark.parametrize('name', ['sub-01.html', 'sub-02.html', 'group_carbon.html'])
    def test_pages_of_a_real_run_load_without_a_word(self, ran, visit, name):
        page = visit(ran / 'out' / name)
        assert page.said == []
        assert 'gCO2e' in page.inner_text('main')

    @pytest.mark.parametrize('width', [1400, 400])
    @pytest.mark.parametrize('kind', ['crowd', 'pipelines', 'recon_all'])
    def test_no_word_and_no_wider_than_the_window(self, visit, request, kind, width):
        folder = request.getfixturevalue(kind)
        for path in sorted(folder.glob('*.html')):
            page = visit(path, width)
            page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
            over = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
            assert page.evaluate(over) <= 0
            assert page.said == []

    def test_links_reach_the_pages_of_subjects(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html')
        page.click('th a >> text=sub-06')
        assert page.inner_text('h1') == 'sub-06'
        page.go_back()
        page.locator('figure a[href="sub-18.html"]').first.click()
        assert page.inner_text('h1') == 'sub-18'


class TestSorting:
    def test_energy_sorts_by_its_value_down_up_and_back(self, visit, crowd):
        people = table(visit(crowd / 'group_carbon.html'), 'Participants')
        before = column(people, 'Participant')
        handle(people, 'Energy').click()
        largest = [float(text) for text in column(people, 'Energy')]
        assert largest == sorted(largest, reverse=True)
        assert largest[0] > 2 * largest[1]  # and not as text, where 920 is more than 2200
        raw = people.locator('tbody td:nth-child(5)').evaluate_all(
            'cells => cells.map((cell) => Number(cell.dataset.key))'
        )
        assert raw == sorted(raw, reverse=True)
        assert len(set(raw)) > len(set(largest))  # what is printed alike is in order too
        handle(people, 'Energy').click()
        assert [float(text) for text in column(people, 'Energy')] == largest[::-1]
        handle(people, 'Energy').click()
        assert column(people, 'Participant') == before
        assert people.locator('[aria-sort]').count() == 0

    def test_by_keyboard_and_said_to_be_sorted(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html')
        people = table(page, 'Participants')
        handle(people, 'CPU').focus()
        page.keyboard.press('Enter')
        shown = column(people, 'CPU')
        assert shown[-1] == '93.0 s'  # which is less than 2 minutes, but not as text
        assert [seconds(text) for text in shown] == sorted(map(seconds, shown), reverse=True)
        assert people.locator('th[aria-sort=descending]').inner_text().startswith('CPU')
        page.keyboard.press('Space')
        assert people.locator('th[aria-sort=ascending]').inner_text().startswith('CPU')
        assert column(people, 'CPU')[0] == '93.0 s'

    def test_an_error_follows_its_stage_and_the_total_stays_last(self, visit, crowd):
        mine = table(visit(crowd / 'sub-06.html'), 'sub-06')
        before = column(mine, 'Stage')
        handle(mine, 'Stage').click()
        assert column(mine, 'Stage') == sorted(before) != before
        rows = mine.locator('tr').all_inner_texts()
        place = next(n for n, text in enumerate(rows) if 'the mesh is open' in text)
        assert rows[place - 1].startswith('White-matter surface')
        assert rows[-1].startswith('All stages')

    def test_what_is_not_known_comes_last_in_both_directions(self, visit, tmp_path):
        lost = {'boot_id': 'another', 'readings': (), 'windows': ()}
        entries = [replace(one, **lost) if one.stage == 'n4' else one for one in data.pair()]
        page = visit(write(tmp_path, entries, ['01']) / 'sub-01.html')
        mine = table(page, 'sub-01')
        for _ in range(2):
            handle(mine, 'Energy').click()
            assert column(mine, 'Energy')[-1] == 'not seen'


class TestFiltering:
    def test_rows_are_narrowed_and_counted(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html')
        people = table(page, 'Participants')
        box = page.get_by_label('Filter participants')
        said = page.locator('.filter[data-what=participants] output')
        assert said.get_attribute('aria-live') == 'polite'
        assert len(column(people, 'Participant')) == 40
        box.press_sequentially('Failed sub-')
        assert column(people, 'Participant') == ['sub-06', 'sub-23']
        assert said.inner_text() == '2 of 40 participants with “Failed sub-”'
        box.fill('sub-99')
        assert column(people, 'Participant') == []
        assert said.inner_text() == 'None of 40 participants with “sub-99”'
        box.fill('')
        assert len(column(people, 'Participant')) == 40
        assert said.inner_text() == ''

    def test_an_error_is_found_with_its_stage(self, visit, crowd):
        page = visit(crowd / 'sub-06.html')
        page.get_by_label('Filter stages').fill('mesh')
        assert column(table(page, 'sub-06'), 'Stage') == ['White-matter surface']
        assert page.get_by_text('the mesh is open').first.is_visible()

    def test_sorting_keeps_what_is_filtered(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html')
        people = table(page, 'Participants')
        page.get_by_label('Filter participants').fill('cached')
        handle(people, 'Energy').click()
        assert column(people, 'Participant') == ['sub-10', 'sub-09']


class TestChoice:
    def test_all_figures_change_their_axes(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html')
        figures = page.locator('figure:has(.choice)')
        assert figures.count() == 2
        for words in figures.all_inner_texts():
            assert 'energy (J)' in words
            assert 'CO2e (mg)' not in words
        figures.nth(0).get_by_role('radio', name='CO2e').check()
        for words in figures.all_inner_texts():
            assert 'CO2e (mg)' in words
            assert 'energy (J)' not in words
        assert figures.nth(1).get_by_role('radio', name='CO2e').is_checked()
        # The choice is the page's alone: the next one starts with energy.
        page.goto((crowd / 'sub-01.html').as_uri())
        assert page.locator('figure:has(.choice)').get_by_role('radio', name='energy').is_checked()

    def test_paper_shows_what_was_chosen_and_no_controls(self, visit, crowd, tmp_path):
        page = visit(crowd / 'sub-01.html')
        page.get_by_role('radio', name='CO2e').check()
        page.get_by_label('Filter stages').fill('registration')
        words = ' '.join(' '.join(text for text, *_ in sheet) for sheet in paper(page, tmp_path))
        assert 'CO2e (mg)' in words
        assert 'energy (J)' not in words
        assert 'Shown' not in words
        assert 'Filter' not in words
        assert '2 of 9 stages with “registration”' in words  # what is not there is said

    def test_without_scripts_all_is_there(self, visit, crowd):
        page = visit(crowd / 'group_carbon.html', java_script_enabled=False)
        assert page.locator('.choice, .filter, .tip').first.is_hidden()
        assert 'energy (J)' in page.inner_text('main')
        rows = table(page, 'Participants').locator('tbody tr')
        assert rows.count() == 40
        assert rows.first.is_visible()


class TestTips:
    def test_arrows_go_from_mark_to_mark(self, visit, crowd):
        page = visit(crowd / 'sub-01.html')
        tip = page.locator('.tip')
        assert tip.is_hidden()
        page.locator('#where + figure .scroll').first.focus()
        page.keyboard.press('Tab')
        assert tip.inner_text().startswith('Conform: ')
        assert 'arrow keys' in tip.inner_text()
        page.keyboard.press('ArrowRight')
        assert tip.inner_text().startswith('Conform, CPU: ')
        page.keyboard.press('End')
        assert tip.inner_text().startswith('Saving and drawing, CPU: ')
        page.keyboard.press('Escape')
        assert tip.is_hidden()

    def test_a_tap_shows_the_tip_within_the_window(self, visit, crowd):
        page = visit(crowd / 'sub-01.html', 400, has_touch=True)
        page.locator('#where + figure rect:has(title)').nth(3).tap()
        box = page.locator('.tip').bounding_box()
        assert 0 <= box['x'] <= box['x'] + box['width'] <= 400


def paper(page, folder: Path) -> list[list[tuple[str, float, float, float, float]]]:
    """The page on A4: for each sheet its words, and where they are, in points."""
    pdf = folder / 'page.pdf'
    page.pdf(path=pdf, prefer_css_page_size=True)
    bare = subprocess.run(
        ['pdftotext', '-bbox', pdf, '-'], capture_output=True, text=True, check=True
    ).stdout
    word = r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*?)</word>'
    sheets = []
    for sheet in bare.split('<page ')[1:]:
        size = re.match(r'width="(.+?)" height="(.+?)"', sheet)
        assert size
        assert [round(float(length)) for length in size.groups()] == list(A4)
        sheets.append([(t, *map(float, place)) for *place, t in re.findall(word, sheet)])
    return sheets


class TestPaper:
    @pytest.mark.parametrize(
        ('kind', 'name'),
        [
            ('crowd', 'group_carbon'),
            ('crowd', 'sub-06'),
            ('pipelines', 'group_carbon'),
            ('recon_all', 'sub-01'),
        ],
    )
    def test_nothing_is_cut(self, visit, request, tmp_path, kind, name):
        page = visit(request.getfixturevalue(kind) / f'{name}.html')
        page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        rows = page.locator('tbody tr').all_inner_texts()
        sheets = paper(page, tmp_path)
        for sheet in sheets:
            for _, left, top, right, bottom in sheet:
                assert 0 < left <= right < A4[0] - 28
                assert 0 < top <= bottom < A4[1] - 28
        texts = [' '.join(text for text, *_ in sheet) for sheet in sheets]
        everything = ' '.join(texts)
        assert len(rows) > 20
        for row in rows:
            # The first words of a row and all its numbers stand on one sheet.
            words = row.split()
            numbers = [word for word in words if re.fullmatch(r'[\d.–]+', word)]
            assert all(word in everything for word in numbers)
            assert any(all(word in text for word in [words[0], *numbers]) for text in texts)

    def test_heads_are_printed_again_above_rows(self, visit, crowd, tmp_path):
        with_rows = 0
        for sheet in paper(visit(crowd / 'group_carbon.html'), tmp_path):
            first = {round(top): text for text, left, top, *_ in sheet if left < 60}
            badges = {round(top) for text, _, top, *_ in sheet if text == 'modelled'}
            # Only the table of participants has them at the left and a badge at the right.
            rows = [
                top
                for top, text in first.items()
                if text.startswith('sub-') and any(abs(top - other) < 4 for other in badges)
            ]
            heads = {
                top
                for top, text in first.items()
                if text == 'Participant'
                and any(t == 'Stages' and abs(y - top) < 2 for t, _, y, *_ in sheet)
            }
            assert bool(heads) == bool(rows)  # nor does a head stand alone at the foot of a sheet
            assert not rows or max(heads) < min(rows)
            with_rows += bool(rows)
        assert with_rows >= 2


class TestEverybody:
    @pytest.mark.parametrize(
        ('kind', 'name', 'width'),
        [
            ('crowd', 'group_carbon', 1400),
            ('crowd', 'group_carbon', 400),
            ('crowd', 'sub-06', 1400),
            ('crowd', 'sub-06', 400),
            ('pipelines', 'group_carbon', 1400),
            ('recon_all', 'sub-01', 400),
        ],
    )
    def test_axe_finds_nothing_serious(self, visit, request, kind, name, width):
        from axe_playwright_python.sync_playwright import Axe

        # The page's own policy lets no other script in.
        path = request.getfixturevalue(kind) / f'{name}.html'
        page = visit(path, width, bypass_csp=True)
        page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        found = Axe().run(page).response
        assert len(found['passes']) > 20
        bad = [
            (rule['id'], node['target'], node['failureSummary'])
            for rule in found['violations']
            if rule['impact'] in {'serious', 'critical'}
            for node in rule['nodes']
        ]
        assert bad == []

    def test_axe_sees_what_is_bad(self, visit, tmp_path):
        from axe_playwright_python.sync_playwright import Axe

        (tmp_path / 'bad.html').write_text('<img src="data:,"><input>', 'utf-8')
        found = Axe().run(visit(tmp_path / 'bad.html')).response['violations']
        assert {'image-alt', 'label'} <= {rule['id'] for rule in found}


class TestHostile:
    def test_stays_text_and_nothing_runs(self, visit, tmp_path):
        jobs = [
            data.Job(HOSTILE, HOSTILE, 0, 30, HOSTILE),
            data.Job(HOSTILE, 'n4', 31, 30, HOSTILE, outcome='failed', error=HOSTILE),
            data.Job('02', 'n4', 62, 30),
        ]
        host = replace(data.HOST, name=HOSTILE, cpu=HOSTILE, power_source=HOSTILE)
        entries = data.Machine(jobs, host).entries()
        dataset, subjects, sharing = data.summaries(entries)
        context = data.context(
            entries, sharing, title=HOSTILE, command=f'nicarbon "/data/{HOSTILE}"',
            warnings=(HOSTILE,), crashes=((f'/data/{HOSTILE}.txt', HOSTILE),), hosts=(host,),
            options=(data.Option(HOSTILE, HOSTILE, HOSTILE),),
        )  # fmt: skip
        links = {HOSTILE: f'sub-{HOSTILE}.html'}
        mine = [one for one in subjects if one.subject == HOSTILE]
        pages = {
            'group': data.group(dataset, subjects, links, context, {HOSTILE: HOSTILE}),
            'subject': subject_page(mine, {HOSTILE: '<svg/>'}, context),
        }
        for name, html in pages.items():
            (tmp_path / f'{name}.html').write_text(html, 'utf-8')
            page = visit(tmp_path / f'{name}.html')
            page.get_by_label('Filter stages').first.fill(HOSTILE)
            for mark in page.locator('figure [tabindex]:has(title)').all()[:5]:
                mark.focus()
            assert HOSTILE in page.title()
            assert page.inner_text('main').count('<script>alert(1)</script>') > 5
            assert page.locator('script').count() == 1
            assert page.locator('img[onerror]').count() == 0
            assert page.said == []
