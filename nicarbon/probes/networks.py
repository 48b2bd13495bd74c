"""Count the networks of FastSurfer: ``python -c TEXT VOXELS STAGE...``, JSON on standard output.

Run by the Python that runs FastSurfer, in FastSurfer's folder, which is on PYTHONPATH too.
The networks are built by FastSurfer's own code from its own configuration, without weights,
and see one slice of the shape that inference gives them, on PyTorch's ``meta`` device: shapes
are worked out and nothing is computed. ``VOXELS`` are edges of conformed images: ``256,320``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

VIEWS = ('axial', 'coronal', 'sagittal')

Case = tuple[str, str, int, Any, tuple[int, int, int], tuple[Any, ...], int]
"""Network, view, voxels, how it is made, channels × height × width, further inputs, slices."""


def asegdkt(voxels: int) -> Iterator[Case]:
    """FastSurferVINN: every slice of the cube, 7 neighbours as channels."""
    import torch
    from FastSurferCNN.models.networks import build_model
    from FastSurferCNN.utils.checkpoint import load_checkpoint_config_defaults
    from FastSurferCNN.utils.load_config import load_config

    paths = load_checkpoint_config_defaults('config')
    for view in VIEWS:
        config = load_config(str(paths[view]))
        # Whatever the resolution, inner layers see MODEL.HEIGHT × MODEL.WIDTH.
        scale = torch.full((1, 2), voxels / config.MODEL.HEIGHT)
        shape = (config.MODEL.NUM_CHANNELS, voxels, voxels)
        name = config.MODEL.MODEL_NAME
        yield name, view, voxels, lambda c=config: build_model(c), shape, (scale, None), voxels


def cereb(voxels: int) -> Iterator[Case]:
    """CerebNet: a cube around the cerebellum, in an image conformed to 1 mm."""
    from CerebNet.config import get_cfg_cerebnet
    from CerebNet.models.networks import build_model

    config = get_cfg_cerebnet()
    side = config.DATA.PATCH_SIZE[0]
    shape = (2 * config.DATA.THICKNESS + 1, side, side)
    for view in VIEWS:
        settings = {name.lower(): value for name, value in dict(config.MODEL).items()}
        settings['plane'] = view
        if view == 'sagittal':
            settings['num_classes'] = settings['num_classes_sag']
        yield 'CerebNet', view, voxels, lambda s=settings: build_model(s), shape, (), side


def hypothal(voxels: int) -> Iterator[Case]:
    """HypVINN: every slice of the cube, padded; both input blocks run, on T1w alone too."""
    import torch
    from FastSurferCNN.utils.checkpoint import load_checkpoint_config_defaults
    from HypVINN.models.networks import build_model
    from HypVINN.utils.load_config import load_config

    paths = load_checkpoint_config_defaults('config', 'HypVINN/config/checkpoint_paths.yaml')
    for view in VIEWS:
        config = load_config(str(paths[view]))
        side = config.DATA.PADDED_SIZE
        if voxels > side:
            raise ValueError(f'HypVINN takes images of up to {side} voxels, not {voxels}')
        scale = torch.full((1, 2), voxels / config.MODEL.HEIGHT)
        given = (scale, torch.tensor([[1.0, 0.0]]), None)
        shape = (config.MODEL.NUM_CHANNELS, side, side)
        yield 'HypVINN', view, voxels, lambda c=config: build_model(c), shape, given, voxels


STAGES: dict[str, Callable[[int], Iterator[Case]]] = {
    'asegdkt': asegdkt,
    'cereb': cereb,
    'hypothal': hypothal,
}


def counter() -> tuple[str, Callable[[Any, Any, Any], int]]:
    """Name of the counter, and what counts the MACs of a module: PyTorch's own, or ptflops."""
    try:
        from torch.utils.flop_counter import FlopCounterMode  # PyTorch 2.1
    except ImportError:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f'ptflops {version("ptflops")}', _by_ptflops
        except PackageNotFoundError:
            raise ImportError('it has neither PyTorch 2.1 or later nor ptflops') from None

    def by_torch(module: Any, image: Any, given: Any) -> int:
        mode = FlopCounterMode(display=False)
        with mode:
            module(image, *given)
        # It counts a multiplication and an addition for each MAC of a convolution.
        return int(mode.get_total_flops()) // 2

    return 'torch.utils.flop_counter', by_torch


def _by_ptflops(module: Any, image: Any, given: Any) -> int:
    import torch
    from ptflops import get_model_complexity_info

    class Whole(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, image: Any) -> Any:
            return self.inner(image, *given)

    macs, _ = get_model_complexity_info(
        Whole(),
        tuple(image.shape[1:]),
        input_constructor=lambda _: {'image': image},
        as_strings=False,
        print_per_layer_stat=False,
        verbose=False,
    )
    return int(macs)


def count(case: Case, macs_of: Callable[[Any, Any, Any], int]) -> dict[str, Any]:
    """One network."""
    name, view, voxels, make, shape, given, slices = case
    try:
        parameters, macs = _on('meta', make, shape, given, macs_of)
    except (NotImplementedError, RuntimeError):
        # Older ones do not know the shapes of all layers without running them.
        parameters, macs = _on('cpu', make, shape, given, macs_of)
    return {
        'network': name,
        'view': view,
        'parameters': parameters,
        'macs_per_slice': macs,
        'slice_shape': list(shape),
        'slices': slices,
        'image_voxels': voxels,
    }


def _on(device: str, make: Any, shape: Any, given: Any, macs_of: Any) -> tuple[int, int]:
    import torch

    with torch.device(device):
        module, image = make().eval(), torch.zeros(1, *shape)
    with torch.no_grad():
        macs = macs_of(module, image, given)
    return sum(each.numel() for each in module.parameters()), macs


def main(edges: str, *stages: str) -> None:
    """Print what was counted, and why the rest was not."""
    told: dict[str, Any] = {'networks': [], 'failed': {}}
    try:
        import torch

        told['torch_version'] = torch.__version__
        told['counted_by'], macs_of = counter()
    except Exception as error:  # noqa: BLE001 - a Python of somebody else: anything may be there
        told['failed'] = dict.fromkeys(stages, f'{type(error).__name__}: {error}')
        stages = ()
    for stage in stages:
        if stage not in STAGES:
            told['failed'][stage] = 'how they are built is not known here'
            continue
        try:
            cases = [case for edge in edges.split(',') for case in STAGES[stage](int(edge))]
            told['networks'] += [{'stage': stage, **count(case, macs_of)} for case in cases]
        except Exception as error:  # noqa: BLE001 - the same
            told['failed'][stage] = f'{type(error).__name__}: {error}'
    # On a line of its own, whatever was printed on the way.
    sys.stdout.write(f'\n{json.dumps(told)}\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
