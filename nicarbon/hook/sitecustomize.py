"""Found by every Python that ``nicarbon exec`` starts: makes its Nipype carbon-aware.

Its folder is on PYTHONPATH, so it must stand alone, cost next to nothing, and hand
over to the sitecustomize that it hides. It does nothing until Nipype is imported.
Any Python may read it, so it is written in what all of them understand.
"""

import importlib.util
import os
import sys


class _Finder:
    """Lets everybody else find Nipype's engine, and acts once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != 'nipype.pipeline.engine':
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _act_after(spec.loader)
                return spec
        return None


def _act_after(loader):
    load = loader.exec_module

    def exec_module(module):
        load(module)
        try:
            _nicarbon()
            from nicarbon.instrument import install

            install()
        except Exception as error:
            sys.stderr.write('nicarbon: the nodes of this program are not recorded: %s\n' % error)

    loader.exec_module = exec_module


def _nicarbon():
    """Make nicarbon importable, and nothing else of the place where it is installed."""
    if importlib.util.find_spec('nicarbon') is not None:
        return
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        'nicarbon', os.path.join(package, '__init__.py'), submodule_search_locations=[package]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules['nicarbon'] = module
    spec.loader.exec_module(module)


def _hand_over():
    """Import the sitecustomize that this one hides, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = list(sys.path)
    sys.path[:] = [folder for folder in path if os.path.abspath(folder or '.') != here]
    own = sys.modules.pop('sitecustomize', None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        if own is not None:
            sys.modules['sitecustomize'] = own
    finally:
        sys.path[:] = path


if sys.version_info >= (3, 10) and os.environ.get('NICARBON_LEDGER'):
    sys.meta_path.insert(0, _Finder())
_hand_over()
