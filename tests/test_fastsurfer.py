"""FastSurfer: what is known of its versions, and what is refused before any work starts."""

from __future__ import annotations

import inspect
import pickle
import platform
import re
import shlex
import sys
from itertools import pairwise

import fastsurfer_stand_in as stand_in
import networkx as nx
import pytest

from nicarbon import fastsurfer
from nicarbon.errors import UnavailableError, UsageError
from nicarbon.fastsurfer import FastSurfer, selected
from nicarbon.freesurfer import FreeSurfer
from nicarbon.interfaces import fastsurfer as interfaces
from nicarbon.readers.fastsurfer.output import Line, failure
from nicarbon.stage import find_stage, parts, stages, variants, versions
from nicarbon.workflows.fastsurfer import Settings, init_fastsurfer_wf

VERSIONS = versions('fastsurfer')
RELEASES = {'2.3': '2.3.0', '2.4': '2.4.0', '2.6': '2.6.0'}

ORDER = {
    '2.3': 'asegdkt biasfield tal_reg asegdkt-stats cereb hypothal recon-surf',
    '2.4': 'asegdkt biasfield tal_reg asegdkt-stats cereb hypothal recon-surf',
    '2.6': 'copy-input asegdkt biasfield tal_reg asegdkt-stats aseg-stats cc cc-paint '
    'asegdkt-cc-stats aseg-cc-stats cereb hypothal recon-surf',
}

# What run_fastsurfer.sh of a version runs for ``--sid 01 --sd $SD --t1 $T1 --threads 4 --py
# python3 --3T --tal_reg``, in its own words; but --threads of asegdkt is ours in 2.3 and 2.4.
# $S is the subject's folder, $IDS the labels of the aseg+DKT.

IDS = (
    '2 4 5 7 8 10 11 12 13 14 15 16 17 18 24 26 28 31 41 43 44 46 47 49 50 51 52 53 54 58 60 63 77 '
    '251 252 253 254 255 '
    '1002 1003 1005 1006 1007 1008 1009 1010 1011 1012 1013 1014 1015 1016 1017 1018 1019 1020 '
    '1021 1022 1023 1024 1025 1026 1027 1028 1029 1030 1031 1034 1035 '
    '2002 2003 2005 2006 2007 2008 2009 2010 2011 2012 2013 2014 2015 2016 2017 2018 2019 2020 '
    '2021 2022 2023 2024 2025 2026 2027 2028 2029 2030 2031 2034 2035'
)

ASEGDKT = """
python3 $FS/FastSurferCNN/run_prediction.py --t1 $T1
  --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz --conformed_name $S/mri/orig.mgz
  --brainmask_name $S/mri/mask.mgz --aseg_name $S/mri/aseg.auto_noCCseg.mgz --sid 01
  --seg_log $S/scripts/deep-seg.log --vox_size min --batch_size 1 --viewagg_device auto
  --device auto --threads 4 --sd $SD
"""

STATS = """
python3 $FS/FastSurferCNN/segstats.py --segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz
  --segstatsfile $S/stats/aseg+DKT.stats --normfile $S/mri/orig_nu.mgz --threads 4 --empty
  --excludeid 0 --sd $SD --sid 01 --ids $IDS
  --lut $FS/FastSurferCNN/config/FreeSurferColorLUT.txt measures --compute
  Mask($S/mri/mask.mgz) BrainSeg BrainSegNotVent SupraTentorial SupraTentorialNotVent
  SubCortGray rhCerebralWhiteMatter lhCerebralWhiteMatter CerebralWhiteMatter
  EstimatedTotalIntraCranialVol BrainSegVol-to-eTIV MaskVol-to-eTIV
"""

CEREB = """
python3 $FS/CerebNet/run_prediction.py --t1 $T1
  --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz --conformed_name $S/mri/orig.mgz
  --cereb_segfile $S/mri/cerebellum.CerebNet.nii.gz --seg_log $S/scripts/deep-seg.log
  --async_io --batch_size 1 --viewagg_device auto --device auto --threads 4
  --norm_name $S/mri/orig_nu.mgz --cereb_statsfile $S/stats/cerebellum.CerebNet.stats --sd $SD
"""

HYPOTHAL = """
python3 $FS/HypVINN/run_prediction.py --sd $SD --sid 01 --threads 4 --async_io --batch_size 1
  --seg_log $S/scripts/deep-seg.log --device auto --viewagg_device auto --t1 $S/mri/orig_nu.mgz
"""

RECON_SURF = """
$FS/recon_surf/recon-surf.sh --sid 01 --sd $SD --t1 $S/mri/orig.mgz
  --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz --threads 4 --py python3 --3T
"""

CALLS = {
    '2.3': [
        ASEGDKT,
        """
        python3 $FS/recon_surf/N4_bias_correct.py --in $S/mri/orig.mgz
          --rescale $S/mri/orig_nu.mgz --aseg $S/mri/aparc.DKTatlas+aseg.deep.mgz --threads 4
        """,
        '$FS/recon_surf/talairach-reg.sh $S/mri true $S/scripts/deep-seg.log',
        STATS,
        CEREB,
        HYPOTHAL,
        RECON_SURF,
    ],
    '2.4': [
        ASEGDKT,
        """
        python3 $FS/recon_surf/N4_bias_correct.py --in $S/mri/orig.mgz
          --rescale $S/mri/orig_nu.mgz --aseg $S/mri/aseg.auto_noCCseg.mgz --threads 4
        """,
        """
        $FS/recon_surf/talairach-reg.sh $S/scripts/deep-seg.log --dir $S/mri
          --conformed_name $S/mri/orig.mgz --norm_name $S/mri/orig_nu.mgz --3T
        """,
        STATS,
        CEREB,
        HYPOTHAL,
        RECON_SURF,
    ],
    '2.6': [
        'python3 $FS/FastSurferCNN/copy_input.py --t1 $T1 --sd $SD --sid 01',
        """
        python3 $FS/FastSurferCNN/run_prediction.py --t1 $T1 --sid 01
          --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz --conformed_name $S/mri/orig.mgz
          --brainmask_name $S/mri/mask.mgz --seg_log $S/scripts/deep-seg.log --vox_size min
          --aseg_name $S/mri/aseg.auto_noCCseg.mgz --batch_size 1 --viewagg_device auto
          --device auto --threads 4 --sd $SD
        """,
        """
        python3 $FS/recon_surf/N4_bias_correct.py --in $S/mri/orig.mgz
          --rescale $S/mri/orig_nu.mgz --aseg $S/mri/aseg.auto_noCCseg.mgz --threads 4
        """,
        """
        $FS/recon_surf/talairach-reg.sh $S/scripts/deep-seg.log --py python3
          --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz --dir $S/mri
          --conformed_name $S/mri/orig.mgz --norm_name $S/mri/orig_nu.mgz --3T
        """,
        """
        python3 $FS/FastSurferCNN/segstats.py --segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz
          --normfile $S/mri/orig_nu.mgz --lut $FS/FastSurferCNN/config/FreeSurferColorLUT.txt
          --sd $SD --sid 01 --threads 4 --empty --excludeid 0 --ids $IDS
          --segstatsfile $S/stats/aseg+DKT.VINN.stats measures --compute Mask($S/mri/mask.mgz)
          BrainSeg BrainSegNotVent SupraTentorial SupraTentorialNotVent SubCortGray
          rhCerebralWhiteMatter lhCerebralWhiteMatter CerebralWhiteMatter
          EstimatedTotalIntraCranialVol BrainSegVol-to-eTIV MaskVol-to-eTIV
        """,
        """
        python3 $FS/FastSurferCNN/segstats.py --segfile $S/mri/aseg.auto_noCCseg.mgz
          --normfile $S/mri/orig_nu.mgz --lut $FS/FastSurferCNN/config/FreeSurferColorLUT.txt
          --sd $SD --sid 01 --threads 4 --empty --excludeid 0 --ids 2 4 3 5 7 8 10 11 12 13 14 15
          16 17 18 24 26 28 31 41 42 43 44 46 47 49 50 51 52 53 54 58 60 63 77
          --segstatsfile $S/stats/aseg.VINN.stats
          measures --import all --file $S/stats/aseg+DKT.VINN.stats
        """,
        """
        python3 $FS/CorpusCallosum/fastsurfer_cc.py --sd $SD --sid 01
          --seg_log $S/scripts/deep-seg.log --threads 4 --conformed_name $S/mri/orig.mgz
          --aseg_name $S/mri/aseg.auto_noCCseg.mgz
          --segmentation_in_orig $S/mri/callosum.CC.orig.mgz --device auto
        """,
        """
        python3 $FS/CorpusCallosum/paint_cc_into_pred.py -in_cc $S/mri/callosum.CC.orig.mgz
          -in_pred $S/mri/aparc.DKTatlas+aseg.deep.mgz
          -out $S/mri/aparc.DKTatlas+aseg.deep.withCC.mgz -aseg $S/mri/aseg.auto.mgz
        """,
        """
        python3 $FS/FastSurferCNN/segstats.py
          --segfile $S/mri/aparc.DKTatlas+aseg.deep.withCC.mgz --normfile $S/mri/orig_nu.mgz
          --lut $FS/FastSurferCNN/config/FreeSurferColorLUT.txt --sd $SD --sid 01 --ids $IDS
          --threads 4 --empty --excludeid 0 --segstatsfile $S/stats/aseg+DKT.VINN.withCC.stats
          measures --import SubCortGray Mask EstimatedTotalIntraCranialVol MaskVol-to-eTIV
          --file $S/stats/aseg+DKT.VINN.stats
          --compute BrainSeg BrainSegNotVent SupraTentorial SupraTentorialNotVent
          rhCerebralWhiteMatter lhCerebralWhiteMatter CerebralWhiteMatter BrainSegVol-to-eTIV
        """,
        """
        python3 $FS/FastSurferCNN/segstats.py --segfile $S/mri/aseg.auto.mgz
          --normfile $S/mri/orig_nu.mgz --lut $FS/FastSurferCNN/config/FreeSurferColorLUT.txt
          --sd $SD --sid 01 --threads 4 --empty --excludeid 0 --ids 2 4 3 5 7 8 10 11 12 13 14 15
          16 17 18 24 26 28 31 41 42 43 44 46 47 49 50 51 52 53 54 58 60 63 77
          251 252 253 254 255 --segstatsfile $S/stats/aseg.VINN.withCC.stats
          measures --import all --file $S/stats/aseg+DKT.VINN.withCC.stats
        """,
        """
        python3 $FS/CerebNet/run_prediction.py --t1 $T1
          --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz
          --seg_log $S/scripts/deep-seg.log --conformed_name $S/mri/orig.mgz
          --cereb_segfile $S/mri/cerebellum.CerebNet.nii.gz --async_io --batch_size 1
          --viewagg_device auto --device auto --threads 4 --norm_name $S/mri/orig_nu.mgz
          --cereb_statsfile $S/stats/cerebellum.CerebNet.stats --sd $SD
        """,
        """
        python3 $FS/HypVINN/run_prediction.py --sd $SD --sid 01 --reg_mode coreg --threads 4
          --async_io --batch_size 1 --seg_log $S/scripts/deep-seg.log --device auto
          --viewagg_device auto --hypo_segfile $S/mri/hypothalamus.HypVINN.nii.gz
          --hypo_statsfile $S/stats/hypothalamus.HypVINN.stats --t1 $S/mri/orig_nu.mgz
        """,
        """
        $FS/recon_surf/recon-surf.sh --sid 01 --sd $SD --t1 $S/mri/orig.mgz
          --mask_name $S/mri/mask.mgz --asegdkt_segfile $S/mri/aparc.DKTatlas+aseg.deep.mgz
          --py python3 --3T --threads 4
        """,
    ],
}

BANNERS = {
    '==================== Checking validity of inputs =================================': 'inputs',
    '================== Creating orig and rawavg from input ====================': 'orig',
    '============ Creating and adding CC Segmentation ============': 'cc',
    '=================== Creating surfaces lh - qsphere ====================': 'quick-sphere_lh',
    '============ Creating surfaces rh - FS asegdkt_segfile..pial ==========': 'surfaces_rh',
    '============ Creating surfaces rh - FS aparc ===============': 'surfaces_rh',
    '============ Creating surfaces lh - white and pial using FS aparc ======': 'surfaces_lh',
    '================ Creating surfaces lh - white and pial direct ==========': 'surfaces_lh',
    '============= Creating surfaces - other FS asegdkt_segfile and stats ====': 'fsaparc',
    '============= Creating surfaces lh - fsaparc annot a2009s and DKTaparc ====': 'fsaparc',
    '==================== Creating surfaces - ribbon ===================': 'ribbon',
    '================= DONE ==========================': 'done',
}
"""As recon-surf.sh of any version prints them, and the parts that they begin."""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lay out a folder with a version and files, and name it in the environment."""

    def laid_out(version: str, files=(), project: str = '') -> FastSurfer:
        home = tmp_path / 'fastsurfer'
        texts = {
            'pyproject.toml': f"[project]\nname = 'fastsurfer'\nversion = '{version}'\n{project}",
            'FastSurferCNN/run_prediction.py': '',
            'torch.py': "__version__ = '2.14.0'\n"
            'class cuda:\n    is_available = staticmethod(lambda: False)\n',
            **dict(files),
        }
        for name, text in texts.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        monkeypatch.setenv('FASTSURFER_HOME', str(home))
        return fastsurfer.find()

    return laid_out


# The table -------------------------------------------------------------------------------


def test_versions_and_their_order():
    assert tuple(ORDER) == VERSIONS
    for version, order in ORDER.items():
        assert [stage.name for stage in stages('fastsurfer', version)] == order.split()


@pytest.mark.parametrize('version', VERSIONS)
def test_every_file_that_a_stage_needs_was_made_by_one_before_it(version):
    made = set()
    for stage in stages('fastsurfer', version):
        assert {stage.path(name) for name in stage.needs} <= made, stage.key
        again = made & {stage.path(name) for name in stage.makes}
        assert not again, stage.key
        made |= {stage.path(name) for name in stage.makes}


@pytest.mark.parametrize('version', VERSIONS)
def test_the_registration_is_not_needed_by_what_runs_by_default(version):
    """recon-surf makes it itself where it is missing."""
    made = set()
    for stage in selected(version):
        assert stage.name != 'tal_reg'
        assert {stage.path(name) for name in stage.needs} <= made, stage.key
        made |= {stage.path(name) for name in stage.makes}


@pytest.mark.parametrize('version', VERSIONS)
def test_the_first_stage_imports_the_subject_and_no_other(version):
    touched = [stage.touch for stage in stages('fastsurfer', version)]
    assert touched[0] == interfaces.IMPORTED
    assert not any(touched[1:])


def test_every_row_is_that_of_some_version():
    chosen = {id(stage.arguments) for v in VERSIONS for stage in stages('fastsurfer', v)}
    names = {stage.name for version in VERSIONS for stage in stages('fastsurfer', version)}
    rows = [row for name in names for row in variants('fastsurfer', name)]
    used = {stage.arguments for version in VERSIONS for stage in stages('fastsurfer', version)}
    assert {row.arguments for row in rows} == used
    assert len(chosen) >= len(rows)


@pytest.mark.parametrize(('banner', 'part'), BANNERS.items())
def test_banners_of_recon_surf(banner, part):
    rows = parts('fastsurfer', 'recon-surf')
    found = [row.key for row in rows if any(re.search(mark, banner) for mark in row.markers)]
    assert found == [f'recon-surf.{part}']


# Classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize('name', interfaces.__all__)
def test_a_class_is_real(name, tmp_path):
    kind = getattr(interfaces, name)
    assert kind.__module__ == 'nicarbon.interfaces.fastsurfer'
    assert inspect.getdoc(kind).splitlines()[0].endswith('``.')
    made = kind(subject_id='01', subjects_dir=str(tmp_path))
    assert type(pickle.loads(pickle.dumps(made))) is kind
    assert interfaces.of_stage(kind.stage_name) is kind
    assert '[Mandatory]' in kind.help(returnhelp=True)


def test_every_stage_has_a_class_of_its_own():
    names = {stage.name for version in VERSIONS for stage in stages('fastsurfer', version)}
    assert {interfaces.of_stage(name).__name__ for name in names} == set(interfaces.__all__)
    assert len(interfaces.__all__) == len(names)


@pytest.mark.parametrize('version', VERSIONS)
def test_calls_are_those_of_run_fastsurfer(version, install, tmp_path):
    home = install(RELEASES[version] if version != '2.3' else '2.3.1').home
    called = [_call(stage, tmp_path) for stage in stages('fastsurfer', version)]
    expected = [_expected(text, home, tmp_path) for text in CALLS[version]]
    for ours, theirs in zip(called, expected, strict=True):
        assert ours == theirs


@pytest.mark.parametrize(
    ('version', 'asked', 'given'),
    [('2.3.0', True, 5), ('2.3.0', False, 0), ('2.3.1', True, 0), ('2.4.0-dev', True, 5)],
)
def test_modules_are_told_of_root_where_they_ask(version, asked, given, install, tmp_path):
    found = install(version)
    calls = [
        _call(stage, tmp_path, allow_root=asked) for stage in stages('fastsurfer', found.minor)
    ]
    assert sum('--allow_root' in call for call in calls) == given


@pytest.mark.parametrize('version', VERSIONS)
def test_without_3t_the_default_atlas_is_taken(version, install, tmp_path):
    install(RELEASES[version])
    call = _call(find_stage('fastsurfer', 'tal_reg', version=version), tmp_path, three_tesla=False)
    assert '--3T' not in call
    assert ('false' in call) == (version == '2.3')


@pytest.mark.parametrize('version', VERSIONS)
def test_outputs_are_those_of_the_version(version, install, tmp_path):
    install(RELEASES[version])
    for stage in stages('fastsurfer', version):
        made = interfaces.of_stage(stage.name)(subject_id='01', subjects_dir=str(tmp_path))
        outputs = made._list_outputs()
        whose = {'subject_id', 'subjects_dir'}
        assert {name for name, path in outputs.items() if path} - whose == set(stage.makes)


def _call(stage, folder, **given):
    """Words of the call, for one subject; everything is asked for that ``given`` does not say."""
    image = folder / 'T1.nii.gz'
    image.touch()
    made = interfaces.of_stage(stage.name)(subject_id='01', subjects_dir=str(folder))
    asked = {'num_threads': 4, 'three_tesla': True, 'flags': ['--3T'], 'etiv': True, **given}
    known = made.inputs.copyable_trait_names()
    asked |= {'T1_file': str(image)}
    made.inputs.trait_set(**{name: value for name, value in asked.items() if name in known})
    return shlex.split(made.cmdline)


def _expected(text, home, folder):
    words = text.replace('$IDS', IDS).replace('$T1', f'{folder}/T1.nii.gz')
    words = words.replace('$SD', str(folder)).replace('$S/', f'{folder}/01/')
    return words.replace('$FS', str(home)).split()


# The graph -------------------------------------------------------------------------------


@pytest.mark.parametrize('version', VERSIONS)
def test_the_graph_keeps_the_order(version):
    names = ['seg', 'tal_reg', 'surf']
    graph = init_fastsurfer_wf(subject='01', version=version, names=names)._graph
    nodes = {node.name: node for node in graph.nodes()}
    ordered = [re.sub(r'\W', '_', stage.name) for stage in selected(version, names)]
    for first, second in pairwise(ordered):
        assert nx.has_path(graph, nodes[first], nodes[second]), (first, second)


@pytest.mark.parametrize(
    ('version', 'maker', 'readers'),
    [
        ('2.3', 'asegdkt_stats', {'asegdkt', 'cereb'}),
        ('2.4', 'asegdkt_stats', {'asegdkt', 'cereb'}),
        ('2.6', 'asegdkt_cc_stats', {'copy_input', 'asegdkt', 'cereb'}),
    ],
)
def test_images_go_in_and_statistics_come_out(version, maker, readers):
    graph = init_fastsurfer_wf(subject='01', version=version, names=['seg'])._graph
    wired = [(a.name, b.name, link['connect']) for a, b, link in graph.edges(data=True)]
    read = {b for _, b, links in wired if any(into == 'T1_file' for _, into in links)}
    assert read == readers
    made = {a for a, _, links in wired if any(into == 'morphometry' for _, into in links)}
    assert made == {maker}


@pytest.mark.parametrize('version', VERSIONS)
def test_the_intracranial_volume_follows_the_registration(version, install, tmp_path):
    install(RELEASES[version])
    for names in (['seg'], ['seg', 'tal_reg']):
        workflow = init_fastsurfer_wf(subject='01', version=version, names=names)
        asked = {node.name for node in workflow._graph if getattr(node.inputs, 'etiv', False)}
        of_all = {'2.6': {'asegdkt_stats', 'asegdkt_cc_stats'}}.get(version, {'asegdkt_stats'})
        assert asked == (of_all if 'tal_reg' in names else set())
    stage = find_stage('fastsurfer', 'asegdkt-stats', version=version)
    assert not [word for word in _call(stage, tmp_path, etiv=False) if 'TIV' in word]


def test_settings_reach_the_corpus_callosum():
    settings = Settings(device='cuda:1', omp_nthreads=3)
    workflow = init_fastsurfer_wf(subject='01', version='2.6', names=['cc'], settings=settings)
    node = workflow.get_node('cc')
    assert (node.inputs.device, node.inputs.num_threads, node.n_procs) == ('cuda:1', 3, 3)


# What is refused -------------------------------------------------------------------------


@pytest.mark.parametrize('version', ['2.2.0', '2.5.0-dev', '3.0.0'])
def test_a_version_whose_stages_are_not_known(version, install):
    with pytest.raises(UnavailableError, match=r'use FastSurfer 2\.3\.x, 2\.4\.x, 2\.6\.x$'):
        install(version)


def test_a_module_that_a_version_does_not_have(install, tmp_path):
    install('2.3.0')
    with pytest.raises(UsageError, match=r'fastsurfer 2\.3 has no stage cc$'):
        _ = interfaces.CorpusCallosum(subject_id='01', subjects_dir=str(tmp_path)).cmdline


@pytest.mark.parametrize(
    ('version', 'right', 'wrong'),
    [('2.3.0', '7.4.1', '8.2.0'), ('2.4.0', '7.4.1', '7.3.2'), ('2.6.0', '8.2.0', '7.4.1')],
)
def test_the_freesurfer_of_a_version(version, right, wrong, tmp_path):
    ours = FastSurfer(tmp_path, version)
    fastsurfer.require_freesurfer(ours, FreeSurfer(tmp_path, right))
    with pytest.raises(UnavailableError, match=f'needs FreeSurfer {right}, and .* is {wrong}'):
        fastsurfer.require_freesurfer(ours, FreeSurfer(tmp_path, wrong))


def test_a_python_that_is_too_old(install):
    found = install('2.6.0', project="requires-python = '>=9.1'\n")
    with pytest.raises(UnavailableError, match=r'2\.6\.0 needs Python 9\.1, and .* --fastsurfer'):
        fastsurfer.probe(found, shlex.quote(sys.executable))
    found = install('2.6.0', project="requires-python = '>=3.2'\n")
    torch = fastsurfer.probe(found, shlex.quote(sys.executable))
    assert torch == ('2.14.0', (), platform.python_version())


RECON = 'recon_surf/recon-surf.sh'
REGISTRATION = 'recon_surf/talairach-reg.sh'
BROKEN_WM = 'cmd="mris_place_surface --wm $wm_file --invol brain.finalsurfs.mgz"\n'
BROKEN_LINK = 'cmd=(softlink_or_copy -sf talairach.xfm.lta talairach.lta)\n'
SOUND_LINK = 'cmd=(softlink_or_copy talairach.xfm.lta talairach.lta "$LF")\n'


@pytest.mark.parametrize(
    ('stage', 'recon', 'registration', 'told'),
    [
        ('recon-surf', BROKEN_WM, SOUND_LINK, 'no white surface is made'),
        ('recon-surf', '', BROKEN_LINK, r'talairach\.lta becomes a log'),
        ('tal_reg', BROKEN_WM, BROKEN_LINK, r'talairach\.lta becomes a log'),
        ('tal_reg', BROKEN_WM, SOUND_LINK, ''),
        ('recon-surf', f'wm_file=wm.mgz\n{BROKEN_WM}', SOUND_LINK, ''),
    ],
)
def test_scripts_that_never_worked(stage, recon, registration, told, install, tmp_path):
    found = install('2.4.0-dev', {RECON: recon, REGISTRATION: registration})
    wanted = [find_stage('fastsurfer', stage, version='2.4')]
    if not told:
        fastsurfer.require(found, tmp_path, ['01'], wanted, allow_root=True)
        return
    with pytest.raises(UnavailableError, match=f'{told}.*: take a release'):
        fastsurfer.require(found, tmp_path, ['01'], wanted, allow_root=True)


def test_weights_of_the_corpus_callosum(install, tmp_path):
    name = 'checkpoints/FastSurferCC_segmentation_v1.0.0.pkl'
    config = f'checkpoint:\n  segmentation: "{name}"\n'
    files = {fastsurfer.CHECKPOINTS['cc']: config, 'CorpusCallosum/fastsurfer_cc.py': ''}
    found = install('2.6.0', files)
    wanted = [find_stage('fastsurfer', 'cc', version='2.6')]
    with pytest.raises(UnavailableError, match=f'no weights .*{name}'):
        fastsurfer.require(found, tmp_path, ['01'], wanted, allow_root=True)
    install('2.6.0', {**files, name: ''})
    fastsurfer.require(found, tmp_path, ['01'], wanted, allow_root=True)


def test_what_python_ignores_as_it_ends_is_no_complaint() -> None:
    """As the real HypVINN ends after an error."""
    said = """\
[ERROR: run_prediction.py:  404]: Segmentation map only consists of background
Traceback (most recent call last):
  File "segstats.py", line 1779, in pv_calc
    raise RuntimeError("Segmentation map only consists of background")
RuntimeError: Segmentation map only consists of background
Exception ignored in: <module 'threading' from 'threading.py'>
Traceback (most recent call last):
  File "threading.py", line 1560, in _shutdown
    atexit_call()
OSError: [Errno 9] Bad file descriptor"""
    lines = [Line(0.0, text) for text in said.splitlines()]
    assert failure(lines) == 'RuntimeError: Segmentation map only consists of background'
    more = [*lines, Line(0.0, 'ValueError: and then this')]
    assert failure(more) == 'ValueError: and then this'
    assert failure(lines[5:]) == ''


def test_a_second_gpu_is_the_only_one_that_its_networks_see(tmp_path, monkeypatch) -> None:
    """With views aggregated where FastSurfer chooses, the first GPU would be taken too."""
    home = tmp_path / 'home'
    stand_in.install(home)
    monkeypatch.setenv('FASTSURFER_HOME', str(home))
    module = interfaces.CerebNet(subject_id='a', subjects_dir=tmp_path, device='cuda:1')
    module.inputs.T1_file = home / 'pyproject.toml'
    assert '--device cuda:0' in module.cmdline
    assert '--viewagg_device auto' in module.cmdline
    assert module._shown_gpu({}) == '1'
    assert module._shown_gpu({'CUDA_VISIBLE_DEVICES': 'GPU-aa, GPU-bb'}) == 'GPU-bb'
    module.inputs.viewagg_device = 'cpu'
    assert '--device cuda:1' in module.cmdline
    assert module._shown_gpu({}) is None
    # It aggregates no views.
    callosum = interfaces.CorpusCallosum(subject_id='a', subjects_dir=tmp_path, device='cuda:1')
    assert callosum.uses_gpu
    assert callosum._shown_gpu({}) is None


def test_modules_take_turns_on_a_gpu_only_where_somebody_counts_turns() -> None:
    """Nipype's own MultiProc refuses jobs with more threads than there are GPUs."""
    workflow = init_fastsurfer_wf(subject='01', version='2.3', names=('seg',))
    nodes = [node for node in workflow._get_all_nodes() if hasattr(node, 'takes_turns_on_gpu')]
    assert len(nodes) == 5
    assert not any(node.is_gpu_node() for node in nodes)
    for node in nodes:
        node.takes_turns_on_gpu = True
    assert {node.name for node in nodes if node.is_gpu_node()} == {'asegdkt', 'cereb', 'hypothal'}
