"""Figures and pages: the right numbers, with units and intervals, and nothing that loads or runs."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
import report_data as data
from values import replace

from nicarbon.account import PUE, account
from nicarbon.entry import Reading, Use
from nicarbon.errors import ImageError
from nicarbon.quantity import carbon, energy
from nicarbon.report import figures
from nicarbon.report.balances import balance_view
from nicarbon.report.figures.axes import measure
from nicarbon.report.figures.lanes import lay
from nicarbon.report.methods import citations, methods
from nicarbon.report.numbers import unusual
from nicarbon.report.pages import subject_page
from nicarbon.report.programs import programs_table
from nicarbon.report.references import bibtex, references
from nicarbon.report.tables import kinds_table, stage_table, subjects_table
from nicarbon.series import summed
from nicarbon.share import share
from nicarbon.spread import spread_of
from nicarbon.stage import stages
from nicarbon.summary import kinds, summarise

HOSTILE = '<script>alert("x")</script>\x1b[31m\'"&'
VOID = {'meta', 'link', 'br', 'img', 'input', 'hr'}


class Page(HTMLParser):
    """A page read strictly: tags must nest; headings, links and ids are kept."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.headings: list[int] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.stack.append(tag)
        if re.fullmatch('h[1-6]', tag):
            self.headings.append(int(tag[1]))
        self.attributes += [(tag, name, value or '') for name, value in attrs]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or '') for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, text):
        if self.stack and self.stack[-1] not in {'script', 'style'}:
            self.words.append(text)

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.words).split())

    def all(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def svg_text(svg: str) -> str:
    return ' '.join(' '.join(ET.fromstring(svg).itertext()).split())


@pytest.fixture(scope='module')
def pair():
    entries = data.pair()
    dataset, subjects, sharing = data.summaries(entries)
    return dataset, subjects, data.context(entries, sharing), sharing


@pytest.fixture(scope='module')
def crowd():
    entries = data.crowd()
    dataset, subjects, sharing = data.summaries(entries, data.WORLD, PUE(1.2))
    return dataset, subjects, data.context(entries, sharing), sharing


@pytest.fixture(scope='module')
def subject_html(pair):
    _, subjects, context, _ = pair
    return subject_page(subjects[:1], {'sub-01_desc-tissue_T1w': '<svg/>'}, context)


@pytest.fixture(scope='module')
def group_html(crowd):
    dataset, subjects, context, _ = crowd
    links = {summary.subject: f'sub-{summary.subject}.html' for summary in subjects}
    return data.group(dataset, subjects, links, context, {'group_carbon.tsv': 'a\tb\n'})


class TestSubjectPage:
    def test_sentence_states_energy_carbon_grid_and_coverage(self, pair, subject_html):
        footprint = pair[1][0].footprint
        spent = energy(footprint.joules, footprint.joules_low, footprint.joules_high)
        grams = carbon(footprint.grams, footprint.low, footprint.high)
        assert re.fullmatch(r'[\d.]+ J \([\d.]+–[\d.]+\)', spent)
        expected = (
            f'Processing sub-01 used {spent}, about {grams} on the 2023 average of the CA-QC '
            'grid; all of it modelled, none metered.'
        )
        assert expected in Page(subject_html).text

    def test_sections_come_in_the_order_that_a_reader_asks(self, subject_html):
        order = ['seen', 'where', 'policies', 'balance', 'when', 'pictures', 'machines', 'methods']
        places = [subject_html.index(f'<h2 id="{name}">') for name in order]
        assert places == sorted(places)

    def test_each_stage_has_a_row_with_interval_and_tier(self, subject_html):
        table = subject_html[subject_html.index('stages in the order of') :]
        rows = re.findall(r'<tr>\s*<th scope="row".*?</tr>', table, re.DOTALL)[:9]
        for stage, row in zip(stages('structural'), rows, strict=True):
            assert stage.title in row
            assert len(re.findall(r'class="range">[\d.]+–[\d.]+<', row)) == 2
            assert '>modelled</span>' in row
        assert table.index('All stages') > table.index(stages('structural')[-1].title)

    def test_parts_that_no_meter_saw_are_named_not_zero(self, subject_html):
        text = Page(subject_html).text
        for part in ('Memory (DRAM)', 'Graphics (GPU)', 'power supply)'):
            assert f'{part} not seen neither meter nor model' in text
        assert 'not given: IT energy only (set it with --pue)' in text

    def test_balance_adds_up_to_the_host(self, pair):
        _, _, context, sharing = pair
        view = balance_view(sharing.balances[0], context.runs[0], '01')
        assert [part.kind for part in view.parts] == ['own', 'others', 'overhead', 'rest']
        assert sum(part.number.raw for part in view.parts) == pytest.approx(view.total.raw)
        assert sum(part.width for part in view.parts) == pytest.approx(100, abs=0.05)
        assert view.tier == 'modelled'
        assert view.total.raw == pytest.approx(sharing.balances[0].host_joules)

    def test_balance_tells_what_went_to_other_runs(self, pair):
        _, _, context, sharing = pair
        balance = sharing.balances[0]
        moved = balance.unattributed_joules / 2
        beside = replace(
            balance, others_joules=moved, unattributed_joules=balance.unattributed_joules - moved
        )
        view = balance_view(beside, context.runs[0])
        names = [part.name for part in view.parts]
        assert names[2] == 'stages and overhead of other runs at the same time'
        assert sum(part.number.raw for part in view.parts) == pytest.approx(view.total.raw)
        assert len(view.shares) == 4

    def test_policies_are_side_by_side(self, pair, subject_html):
        text = Page(subject_html).text
        footprint = pair[1][0].footprint
        for policy, joules in pair[1][0].policies.items():
            shown = energy(joules, joules / data.HOST.u_rel, joules * data.HOST.u_rel)
            assert f'{policy} {shown.split(" (")[0]}' in text
        assert footprint.joules == pytest.approx(pair[1][0].policies['reserved'])

    def test_pictures_are_images_that_cannot_run(self, pair):
        _, subjects, context, _ = pair
        evil = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
        html = subject_page(subjects[:1], {'T1w': evil}, context)
        assert '<script>alert' not in html
        sources = Page(html).all('src')
        assert len(sources) == 1
        assert sources[0].startswith('data:image/svg+xml,%3Csvg')

    def test_sessions_have_a_table_each_and_one_total(self):
        jobs = data.line_up('01', session='a') + data.line_up('01', 400, session='b')
        entries = data.Machine(jobs).entries()
        _, sessions, sharing = data.summaries(entries)
        html = subject_page(sessions, {}, data.context(entries, sharing))
        assert '<h3>sub-01_ses-a</h3>' in html
        assert '<h3>sub-01_ses-b</h3>' in html
        joules = sum(one.footprint.joules for one in sessions)
        assert f'used {energy(joules, joules / 2, joules * 2)},' in html

    def test_nothing_at_all(self, pair):
        html = subject_page([], {}, replace(pair[2], runs=(), balances=(), hosts=(), options=()))
        assert 'Nothing is known of the subject.' in Page(html).text


class TestFreeSurfer:
    """A tool with hemispheres whose stages tell what they ran."""

    PIPELINE = stages('freesurfer', 7)

    @pytest.fixture(scope='class')
    def made(self):
        entries = data.recon_all()
        dataset, subjects, sharing = data.summaries(entries)
        return dataset, subjects, data.context(entries, sharing, pipeline=self.PIPELINE)

    def test_hemispheres_have_their_rows_in_the_order_of_the_pipeline(self, made):
        _, (summary,), context = made
        labels = [stage.label for stage in self.PIPELINE]
        started = [line.share.entry.stage for line in summary.lines]
        assert started != [stage.key for stage in self.PIPELINE]
        assert [row.title for row in stage_table(summary, context.titles).rows] == labels
        rows = kinds_table(kinds(made[0], context.titles), context.titles).rows
        assert [row.title for row in rows] == labels
        drawn = svg_text(figures.stages(summary, context.titles))
        assert 'Smooth1 lh' in drawn
        assert 'smooth1_lh' not in drawn

    def test_programs_are_read_within_their_stages(self, made):
        _, (summary,), context = made
        table = programs_table(summary, context.titles)
        told = [line.share for line in summary.lines if line.share.entry.commands]
        assert len(table.stages) == len(told)
        assert table.calls == sum(len(share.entry.commands) for share in told)
        for stage in table.stages:
            joules = [row.energy.raw for row in (*stage.programs, stage.rest)]
            assert sum(joules) == pytest.approx(stage.whole.energy.raw)
            assert all(row.calls == '2' for row in stage.programs)

    def test_the_page_shows_them_and_adds_nothing(self, made):
        _, subjects, context = made
        html = subject_page(subjects, {}, context)
        words = Page(html).text
        assert 'What each stage ran:' in words
        assert 'mri_ca_label' in words
        assert 'It adds nothing to the table above.' in words
        assert len(html.encode()) < 300_000
        silent = data.Machine([data.Job('01', 'motioncor', 0, 5)]).entries()
        _, subjects, sharing = data.summaries(silent)
        assert 'What each stage ran' not in subject_page(
            subjects, {}, data.context(silent, sharing, pipeline=self.PIPELINE)
        )

    def test_programs_of_a_stage_that_was_not_seen(self, made):
        _, subjects, _ = data.summaries([data.blind(one) for one in data.recon_all()])
        (row, *_) = programs_table(subjects[0], made[2].titles).stages[0].programs
        assert row.energy is None
        assert row.cpu

    def test_methods_say_what_is_done_in_both_hemispheres_once(self, made):
        dataset, _, context = made
        text = methods(dataset, context)
        said = {stage.says for stage in self.PIPELINE if stage.says}
        assert said
        assert all(text.count(sentence) == 1 for sentence in said)
        cited = {doi for stage in self.PIPELINE for doi in stage.cites}
        assert cited <= set(citations(dataset, context))


class TestGroupPage:
    def test_sentence_says_who_how_much_and_that_the_grid_is_assumed(self, group_html):
        text = Page(group_html).text
        assert 'Processing 40 participants used' in text
        assert 'at an assumed world average of 475 gCO2e/kWh (35–750)' in text
        assert 'set it with --grid ZONE or --grid G_PER_KWH' in text
        assert re.search(r'A participant took 853 J \(IQR \d+–\d+\) in the median', text)

    def test_lost_and_spared_are_apart(self, crowd, group_html):
        dataset, text = crowd[0], Page(group_html).text
        lost = energy(dataset.lost.joules, dataset.lost.joules_low, dataset.lost.joules_high)
        assert dataset.lost.joules > 0
        assert f'{lost} of it went to 3 stages that failed or were killed.' in text
        assert '8 stages were taken from the cache: spared, 0 J of new energy.' in text
        assert 'ValueError: the mesh is open' in text

    def test_medians_leave_out_who_is_not_complete(self, crowd):
        _, subjects, _, _ = crowd
        partial = {one.subject for one in subjects if not one.complete}
        assert partial == {'06', '09', '10', '12', '23'}
        assert [one.subject for one in unusual(subjects)] == ['18']
        assert unusual(subjects[:7]) is None

    def test_participants_link_to_their_pages(self, group_html):
        links = Page(group_html).all('href')
        assert links.count('sub-01.html') == 3  # the dots, of joules and of grams, and the row
        assert links.count('sub-18.html') == 4  # and the line on the unusual

    def test_tables_travel_with_the_page_while_they_are_small(self, crowd, group_html):
        content = base64.b64encode(b'a\tb\n').decode()
        assert f'data:text/tab-separated-values;charset=utf-8;base64,{content}' in group_html
        dataset, subjects, context, _ = crowd
        page = data.group(dataset, subjects, {}, context, {'g.tsv': 'x' * 1_200_000})
        assert 'g.tsv' in Page(page).all('href')
        assert len(page) < 300_000

    @pytest.mark.parametrize('count', [1, 2])
    def test_few(self, count):
        entries = data.crowd(count)
        dataset, subjects, sharing = data.summaries(entries)
        html = data.group(dataset, subjects, {}, data.context(entries, sharing), {})
        plural = '' if count == 1 else 's'
        assert f'Processing {count} participant{plural} used' in html
        assert 'Too few complete participants' in html

    def test_many_rows_are_capped_and_said_to_be(self):
        jobs = [data.Job(f'{n:03d}', 'n4', 10 * n, 9) for n in range(230)]
        entries = data.Machine(jobs).entries()
        dataset, subjects, sharing = data.summaries(entries)
        html = data.group(dataset, subjects, {}, data.context(entries, sharing), {})
        assert 'Shown are the 200 that used the most; the TSV has the other 30 too.' in html
        assert len(html.encode()) < 300_000

    def test_a_cluster_of_runs_and_hosts_stays_small(self):
        entries, hosts = [], []
        for number in range(120):
            hosts.append(replace(data.HOST, name=f'node{number:03d}'))
            jobs = data.line_up(f'{number:03d}', names=('conform', 'n4'))
            entries += data.Machine(jobs, hosts[-1], f'run{number:03d}').entries()
        dataset, subjects, sharing = data.summaries(entries)
        crashes = tuple((f'crash-{n}', 'x' * 20_000) for n in range(60))
        context = data.context(entries, sharing, hosts=tuple(hosts), crashes=crashes)
        html = data.group(dataset, subjects, {}, context, {})
        text = Page(html).text
        assert 'The other 114 runs, largest first; the first 100 are shown' in text
        assert html.count('aria-label="Power of') == 6
        assert '40 more in logs/' in text
        assert len(html.encode()) < 600_000

    def test_empty(self, pair):
        empty = summarise([], data.QUEBEC, PUE())
        html = data.group(empty, [], {}, replace(pair[2], runs=(), balances=()), {})
        assert 'no stage was recorded' in Page(html).text


class TestEveryPage:
    @pytest.mark.parametrize('fixture', ['subject_html', 'group_html'])
    def test_is_well_formed_accessible_and_loads_nothing(self, fixture, request):
        html = request.getfixturevalue(fixture)
        page = Page(html)
        assert page.headings[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(page.headings))
        ids = page.all('id')
        assert len(ids) == len(set(ids))
        for address in page.all('href') + page.all('src'):
            assert not re.match(r'(https?:)?//', address)
            assert not address.startswith('#') or address[1:] in ids
        assert all(target.startswith('url(#') for target in re.findall(r'url\([^)]*', html))
        assert '@import' not in html
        assert 'style' not in {name for _, name, _ in page.attributes}  # the policy forbids it
        assert html.count('<table') == html.count('<caption')
        for tag in ('<header>', '<main id="main">', '<footer>', 'class="skip"', 'lang="en"'):
            assert tag in html
        assert len(html.encode()) < 300_000

    def test_policy_names_the_hashes_of_style_and_script(self, group_html):
        import hashlib

        for tag in ('style', 'script'):
            (text,) = re.findall(rf'<{tag}>(.*?)</{tag}>', group_html, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in group_html

    def test_same_values_same_bytes(self, pair):
        dataset, subjects, context, _ = pair
        pages = {data.group(dataset, subjects, {}, context, {}) for _ in range(2)}
        assert len(pages) == 1

    def test_hostile_text_stays_text(self):
        jobs = [
            data.Job(HOSTILE, HOSTILE, 0, 30, HOSTILE),
            data.Job('02', 'n4', 31, 30, outcome='failed', error=HOSTILE),
        ]
        entries = data.Machine(jobs, replace(data.HOST, name=HOSTILE, cpu=HOSTILE)).entries()
        dataset, subjects, sharing = data.summaries(entries)
        context = data.context(
            entries, sharing, title=HOSTILE, command=HOSTILE, warnings=(HOSTILE,),
            crashes=((HOSTILE, HOSTILE),), options=(data.Option(HOSTILE, HOSTILE, HOSTILE),),
            hosts=(replace(data.HOST, name=HOSTILE, cpu=HOSTILE, power_source=HOSTILE),),
        )  # fmt: skip
        pages = [subject_page([one], {HOSTILE: '<svg/>'}, context) for one in subjects]
        tables = {HOSTILE: HOSTILE}
        pages.append(data.group(dataset, subjects, {HOSTILE: HOSTILE}, context, tables))
        for html in pages:
            page = Page(html)
            assert '<script>alert' not in html
            assert '\x1b' not in html
            assert '<script>alert("x")</script>' in page.text
            assert html.count('<script') == 1


class TestNotSeen:
    def test_no_meter_at_all(self):
        entries = [data.blind(entry) for entry in data.pair()]
        dataset, subjects, sharing = data.summaries(entries)
        context = data.context(entries, sharing)
        text = Page(subject_page(subjects[:1], {}, context)).text
        assert 'is not known: neither meter nor model saw any of the 9 stages' in text
        assert 'Energy not seen' in text
        assert ' 0 J' not in text
        text = Page(data.group(dataset, subjects, {}, context, {})).text
        assert 'neither meter nor model saw any of the 18 stages' in text
        assert 'No power was seen during this run.' in text

    def test_some_stages(self):
        entries = data.pair()
        blind = [
            replace(data.blind(e), host='other', boot_id='c') for e in entries if e.stage == 'n4'
        ]
        entries = [entry for entry in entries if entry.stage != 'n4'] + blind
        entries = [replace(entry, run_id='') for entry in entries if entry.kind == 'node']
        _, subjects, sharing = data.summaries(entries)
        html = subject_page(subjects[:1], {}, data.context(entries, sharing))
        text = Page(html).text
        assert '1 stage was not seen and not counted' in text
        assert 'energy known for 8 of 9 stages' in text
        assert 'No run left a timeline.' in text
        assert 'n4: not seen' in svg_text(figures.stages(subjects[0]))

    def test_all_from_the_cache_is_nothing_spent(self):
        jobs = [replace(job, outcome='cached') for job in data.line_up('01')]
        entries = data.Machine(jobs).entries()
        _, subjects, sharing = data.summaries(entries)
        text = Page(subject_page(subjects, {}, data.context(entries, sharing))).text
        assert 'Nothing new was spent on sub-01: all 9 stages came from the cache.' in text
        assert 'Energy 0 J' in text

    def test_components_of_a_metered_host(self):
        readings = (
            Reading('cpu', 100.0, 1.0, 'rapl', 'measured', 'host', 1.05),
            Reading('dram', None, None, 'absent', 'assumed', 'host', 1.0),
            Reading('gpu:GPU-1', 50.0, 5.0, 'nvml', 'measured', 'host', 1.05),
        )
        node = data.Machine([data.Job('01', 'n4', 0, 5)]).entries()[0]
        uses = (None, None, Use(5.0, 5.0, 5.0, 5.0))
        windows = tuple(replace(w, joules=(100.0, None, 50.0), uses=uses) for w in node.windows)
        node = replace(node, readings=readings, windows=windows, run_id='')
        dataset, subjects, sharing = data.summaries([node])
        html = subject_page(subjects, {}, data.context([node], sharing))
        text = Page(html).text
        assert 'Processor (CPU) metered rapl within a factor of 1.05' in text
        assert 'Memory (DRAM) not seen' in text
        assert 'Graphics (GPU) 1 metered nvml' in text
        assert 'all of it metered' in text
        assert svg_text(figures.stages(dataset)).count('GPU 1') == 2  # legend and tip

    def test_methods_say_what_gaps_and_idle_power_leave_open(self):
        cpu = Reading('cpu', 100.0, 5.0, 'rapl', 'measured', 'host', 1.08, 0.75, 1.5)
        node = data.Machine([data.Job('01', 'n4', 0, 20)]).entries()[0]
        windows = (replace(node.windows[0], joules=(None,)), *node.windows[1:])
        node = replace(node, readings=(cpu,), windows=windows, run_id='')
        dataset, subjects, sharing = data.summaries([node])
        context = data.context([node], sharing)
        text = methods(dataset, context)
        assert 'In up to 25 % of the time of a stage, counters were not seen (CPU)' in text
        assert 'idle power was not (CPU within a factor of 1.5)' in text
        (share_,) = sharing.shares
        assert share_.u_rels['cpu'] > 1.08 / 0.75
        page = Page(subject_page(subjects, {}, context)).text
        assert 'in one stage 25 % of its time (not filled in)' in page

    def test_all_components_have_names_and_colours(self):
        gpu = 'gpu:GPU-3f2a11d0-9c4e'
        readings = (
            Reading('cpu', None, 1.0, 'rapl', 'measured', 'host', 1.05),
            Reading('dram', None, 1.0, 'rapl', 'measured', 'host', 1.05),
            Reading(gpu, None, 5.0, 'nvml:energy', 'measured', 'host', 1.05),
            Reading('rest', None, 5.0, 'model:rest', 'assumed', 'host', 2.0),
        )
        entries = []
        for entry in data.Machine(data.line_up('01', names=['n4', 'surface'])).entries():
            held = 5.0 if entry.stage != 'surface' else 0.0
            use = (None, None, Use(held, 5.0, held, 5.0), None)
            windows = tuple(
                replace(w, joules=(100.0, 20.0, 500.0, 60.0), uses=use) for w in entry.windows
            )
            entries.append(summed(replace(entry, readings=readings, windows=windows), windows))
        dataset, subjects, sharing = data.summaries(entries)
        context = data.context(entries, sharing)
        text = Page(subject_page(subjects, {}, context)).text
        assert 'Graphics (GPU) 3f2a… metered nvml:energy within a factor of 1.05' in text
        assert 'Rest of the machine (disks, fans, power supply) assumed model:rest' in text
        drawn = svg_text(figures.stages(dataset))
        assert 'CPU memory GPU 3f2a… rest of the machine 95 % interval' in drawn
        assert 'n4, GPU 3f2a…: ' in drawn
        assert 'surface, GPU' not in drawn
        assert len({figures.svg.component_colour(r.component) for r in readings}) == 4


class TestFigures:
    def test_stages_show_value_interval_and_unit(self, pair):
        summary = pair[1][0]
        text = svg_text(figures.stages(summary, {'n4': 'N4'}))
        line = summary.lines[1]
        assert line.share.entry.stage == 'n4'
        joules = line.footprint.joules
        assert f'N4: {energy(joules, joules / 2, joules * 2)}' in text
        assert '95 % interval' in text

    def test_outcomes_are_marked(self, crowd):
        by_subject = {summary.subject: summary for summary in crowd[1]}
        failed = figures.stages(by_subject['06'])
        assert 'failed or killed' in svg_text(failed)
        assert failed.count('<pattern') == 1
        assert re.search(r'J \(\d+–\d+\), failed', svg_text(failed))
        cached = figures.stages(by_subject['09'])
        assert cached.count('stroke-dasharray') == 4
        assert 'cached: spared' in svg_text(cached)

    def test_timeline_conserves_energy(self, pair):
        from nicarbon.report.figures import power

        _, _, context, sharing = pair
        run = context.runs[0]
        slices = power._slices(run, sharing.shares, '')
        joules = {}
        for one in slices:
            assert sum(one.watts.values()) == pytest.approx(one.host)
            for name, watts in one.watts.items():
                joules[name] = joules.get(name, 0.0) + watts * one.window.seconds
        n4 = sum(s.joules['reserved'] for s in sharing.shares if s.entry.stage == 'n4')
        assert joules['n4'] == pytest.approx(n4)
        assert joules['overhead of the run'] == pytest.approx(sharing.balances[0].overhead_joules)
        assert joules['unattributed'] == pytest.approx(
            sharing.balances[0].unattributed_joules, rel=1e-6
        )

    def test_timeline_of_one_subject_calls_the_rest_by_its_name(self, pair):
        _, _, context, sharing = pair
        own = [one for one in sharing.shares if one.entry.subject == '01']
        text = svg_text(figures.timeline(context.runs[0], own, subject='01'))
        assert 'everything else on the host' in text
        assert 'overhead' not in text
        assert 'idle 0.96 W' in text

    def test_lanes_never_overlap(self, crowd):
        for lane in lay([one for one in crowd[3].shares if one.entry.windows]):
            for before, after in pairwise(lane):
                assert before.entry.windows[-1].stop <= after.entry.windows[0].start + 1e-6

    def test_timeline_without_windows(self, pair):
        run = replace(pair[2].runs[0], windows=())
        assert 'No power was seen' in svg_text(figures.timeline(run, pair[3].shares))

    def test_thousands_of_blocks_stay_small(self):
        jobs = [data.Job(f'{n:04d}', 'n4', 2 * n, 4) for n in range(2000)]
        entries = data.Machine(jobs).entries()
        svg = figures.timeline(entries[-1], share(entries).shares)
        assert len(svg) < 150_000

    def test_by_subject_marks_median_and_the_unusual(self, crowd):
        svg = figures.by_subject(crowd[1], {'18': 'sub-18.html'})
        text = svg_text(svg)
        assert 'median 853 J (IQR' in text
        assert '1 of the complete beyond 1.5 interquartile ranges' in text
        assert svg.count('<circle') == 40
        assert svg.count('fill="#fff"') == 5  # those not complete are hollow
        assert '<a href="sub-18.html">' in svg

    def test_very_many_subjects_are_small_dots_but_for_the_unusual(self):
        jobs = [data.Job(f'{n:03d}', 'n4', 40 * n, 30 if n == 400 else 9) for n in range(500)]
        jobs[7] = replace(jobs[7], outcome='failed')
        subjects = data.summaries(data.Machine(jobs).entries())[1]
        svg = figures.by_subject(subjects, {one.subject: 'x.html' for one in subjects})
        assert svg.count('<circle') == svg.count('<a href') == 2
        assert 'sub-400: ' in svg
        assert 'sub-007: ' in svg
        assert svg.count('h0') == 498
        assert len(svg) < 40_000

    @pytest.mark.parametrize('quantity', ['energy', 'carbon'])
    def test_show_the_numbers_of_the_tables(self, crowd, quantity):
        dataset, subjects, _, _ = crowd
        unit = f'{quantity}_unit'
        for svg, table in (
            (figures.stages(subjects[0], quantity=quantity), stage_table(subjects[0], {})),
            (
                figures.totals(kinds(dataset, ()), quantity=quantity),
                kinds_table(kinds(dataset, ()), {}),
            ),
            (figures.by_subject(subjects, quantity=quantity), subjects_table(subjects, {})),
        ):
            text = svg_text(svg)
            assert f'({getattr(table, unit).removesuffix("CO2e")})' in text
            for row in table.rows:
                number = getattr(row.cell, quantity)
                assert f'{number.text} {getattr(table, unit)} ({number.interval})' in text

    def test_grams_are_split_among_components_as_joules_are(self, crowd):
        line = crowd[1][0].lines[0]
        joules = {'cpu': 0.75 * line.footprint.joules, 'dram': 0.25 * line.footprint.joules}
        grams = measure('carbon').parts(joules, line.footprint)
        assert sum(grams.values()) == pytest.approx(line.footprint.grams)
        assert grams['cpu'] == pytest.approx(3 * grams['dram'])
        spared = replace(line.footprint, joules=0.0, grams=0.0)
        assert measure('carbon').parts({'cpu': 0.0}, spared) == {'cpu': 0.0}

    def test_very_many_subjects_are_drawn_evenly_and_the_unusual_all(self, pair):
        one = pair[1][0]
        many = [
            replace(
                one,
                subject=f'{n:05d}',
                footprint=account((1e6 if n == 777 else 100.0 + n % 50), 1.1, data.QUEBEC, PUE()),
            )
            for n in range(5000)
        ]
        svg = figures.by_subject(many, {'00777': 'sub-00777.html'})
        assert len(svg) < 60_000
        assert 'Drawn: 1,000 of 5,000, evenly by rank.' in svg_text(svg)
        assert '<a href="sub-00777.html">' in svg
        assert '5000 subjects' in svg_text(svg)

    @pytest.mark.parametrize('name', ['stages', 'totals', 'by_subject', 'timeline'])
    def test_are_well_formed_named_and_byte_stable(self, crowd, name):
        dataset, subjects, context, sharing = crowd
        arguments = {
            'stages': (subjects[0],),
            'totals': (kinds(dataset, ()),),
            'by_subject': (subjects,),
            'timeline': (context.runs[0], sharing.shares),
        }[name]
        svg = getattr(figures, name)(*arguments)
        assert svg == getattr(figures, name)(*arguments)
        root = ET.fromstring(svg)
        title, description = root[0], root[1]
        assert title.tag.endswith('title')
        assert description.tag.endswith('desc')
        assert root.get('aria-labelledby') == f'{title.get("id")} {description.get("id")}'
        assert 'nan' not in svg
        assert re.findall('https?://[^"]*', svg) == ['http://www.w3.org/2000/svg']

    @pytest.mark.parametrize('name', ['stages', 'totals'])
    def test_nothing_to_draw(self, name):
        nothing = summarise([], data.QUEBEC, PUE())
        svg = figures.stages(nothing) if name == 'stages' else figures.totals([])
        assert 'no stage ran' in svg_text(svg)
        assert '0 subjects' in svg_text(figures.by_subject([]))


class TestMosaic:
    @pytest.fixture
    def head(self, tmp_path):
        nib, np = pytest.importorskip('nibabel'), pytest.importorskip('numpy')
        pytest.importorskip('skimage')
        grid = np.indices((60, 70, 50)).astype(float)
        middle = np.array([32.0, 35.0, 25.0])[:, None, None, None]
        radius = np.sqrt((((grid - middle) / [[[[22.0]]], [[[28.0]]], [[[18.0]]]]) ** 2).sum(0))
        noise = np.random.default_rng(152).normal(0, 8, radius.shape)
        image = 100 * (radius < 1.2) + 80 * (radius < 0.7) + noise
        image[:10] += 150  # the left of the head is bright
        affine = np.diag([3.0, 3.0, 3.0, 1.0])
        affine[:3, 3] = -96.0, -105.0, -75.0
        volumes = {
            'T1w': image.astype('float32'),
            'mask': (radius < 1).astype('uint8'),
            'dseg': np.where(radius < 0.7, 2, np.where(radius < 0.95, 1, 0)).astype('uint8'),
        }
        paths = []
        for name, volume in volumes.items():
            paths.append(tmp_path / f'{name}.nii.gz')
            nib.save(nib.Nifti1Image(volume, affine), paths[-1])
        return paths

    def test_shows_three_planes_with_outlines(self, head):
        svg = figures.mosaic(*head)
        root = ET.fromstring(svg)
        images = [one for one in root.iter() if one.tag.endswith('image')]
        assert len(images) == 21
        assert all(one.get('href').startswith('data:image/webp;base64,') for one in images)
        groups = [one.get('aria-label') for one in root.iter() if one.tag.endswith('}g')]
        assert groups == ['brain mask', 'grey matter', 'white matter']
        text = svg_text(svg)
        assert re.search(r'z = −?\d+', text)
        assert text.count(' L ') >= 14 - 1
        assert len(svg.encode()) < 250_000
        assert svg == figures.mosaic(*head)

    def test_left_is_left(self, head):
        from io import BytesIO

        import numpy as np
        from PIL import Image

        image = next(one for one in ET.fromstring(figures.mosaic(*head)).iter() if one.get('href'))
        raw = base64.b64decode(image.get('href').partition(',')[2])
        pixels = np.asarray(Image.open(BytesIO(raw)).convert('L'), float)
        assert pixels[:, :3].mean() > 100 > pixels[:, -3:].mean()

    def test_orientation_does_not_depend_on_the_file(self, head, tmp_path):
        import nibabel as nib

        flipped = []
        for path in head:
            image = nib.load(path)
            turned = image.as_reoriented([[0, -1], [1, 1], [2, 1]])
            flipped.append(tmp_path / f'LAS_{path.name}')
            nib.save(turned, flipped[-1])
        assert nib.aff2axcodes(nib.load(flipped[0]).affine) == ('L', 'A', 'S')
        assert figures.mosaic(*flipped) == figures.mosaic(*head)

    def test_coordinates_are_those_of_the_affine(self, head):
        # The brain spans y = 35 ± 27 voxels of 3 mm from -105 mm: the middle slice is at 0.
        assert 'y = 0' in svg_text(figures.mosaic(*head))

    def test_other_grids_and_empty_masks_are_refused(self, head, tmp_path):
        import nibabel as nib

        image = nib.load(head[1])
        small, empty = tmp_path / 'small.nii.gz', tmp_path / 'empty.nii.gz'
        nib.save(image.slicer[:30], small)
        nib.save(nib.Nifti1Image(image.get_fdata() * 0, image.affine), empty)
        with pytest.raises(ImageError, match='not on the grid'):
            figures.mosaic(head[0], small, head[2])
        with pytest.raises(ImageError, match='is empty'):
            figures.mosaic(head[0], empty, head[2])


class TestMethods:
    def test_text_holds_what_was_run_and_what_was_measured(self, pair):
        dataset, _, context, _ = pair
        text = methods(dataset, context)
        for stage in stages('structural'):
            assert stage.says in text
        assert 'CPU energy was modelled (`model:tdp-linear`, known within a factor of 2' in text
        assert 'energy of memory and graphics processors was not seen' in text
        assert '(policy `reserved`' in text
        assert '30 gCO2e/kWh (15–60) (average, lifecycle, 2023-01-01 to 2023-12-31' in text
        assert 'IT energy alone was counted' in text

    def test_only_what_ran_is_described(self):
        dataset, _, sharing = data.summaries(data.Machine([data.Job('01', 'n4', 0, 9)]).entries())
        context = data.context([], sharing)
        assert 'Van Leemput' not in methods(dataset, context)
        assert '10.1109/42.811270' not in citations(dataset, context)
        assert '10.1109/TMI.2010.2046908' in citations(dataset, context)

    def test_every_citation_of_the_stage_table_has_an_entry(self, pair):
        dataset, _, context, _ = pair
        keys = citations(dataset, context)
        assert set(keys) <= set(references())
        text = bibtex(keys)
        assert text.count('{') == text.count('}')
        assert len(re.findall(r'^@\w+\{\w+,$', text, re.MULTILINE)) == len(keys)
        for key in keys:
            assert key in text


def test_spread_of_nothing():
    assert spread_of([]) is None
