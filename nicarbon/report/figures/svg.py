"""SVG by hand: elements, escaping, scales and the colours of every figure.

Text stays text (to be searched, read aloud and translated) in the reader's own
sans serif, so nothing may depend on its exact width. The same values give the
same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

__all__ = [
    'FAULT',
    'FONT',
    'INK',
    'MUTED',
    'RULE',
    'WIDTH',
    'Canvas',
    'clean',
    'component_colour',
    'shorten',
    'stage_colours',
    'ticks',
]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDTH = 920
"""Width of every figure in CSS pixels: the text width of a page."""

INK, MUTED, RULE = '#1b1f23', '#59616a', '#d5dade'
FAULT = '#b34700'
"""Okabe and Ito's vermilion, darkened to a contrast of 5:1 on white."""

_COMPONENTS = {'cpu': '#0072b2', 'dram': '#e69f00', 'gpu': '#cc79a7', 'rest': '#009e73'}
_OTHER = '#7f8790'
_VIRIDIS = ('#46307e', '#365c8d', '#277f8e', '#1fa187', '#4ac16d', '#a0da39', '#e8d21d')
_INVALID = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def clean(text: str) -> str:
    r"""Replace what XML cannot hold, such as the escapes of a coloured terminal.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> clean('a\x1bb')
    'a\ufffdb'
    """
    return _INVALID.sub('\ufffd', text)


def shorten(text: str, characters: int) -> str:
    """Cut a label that would run into its neighbour.

    Parameters
    ----------
    text : str
    characters : int

    Returns
    -------
    str

    Examples
    --------
    >>> shorten('tissue_segmentation', 8)
    'tissue_…'
    """
    return text if len(text) <= characters else text[: max(characters - 1, 0)] + '…'


def component_colour(component: str) -> str:
    """Colour-blind-safe colour (Okabe and Ito) of a component such as ``gpu:0``."""
    return _COMPONENTS.get(component.partition(':')[0], _OTHER)


def stage_colours(names: Sequence[str]) -> dict[str, str]:
    """Colours along viridis, in the order of the names.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    dict of {str : str}
    """
    last = max(len(names) - 1, 1)
    return {name: _viridis(index / last) for index, name in enumerate(names)}


def _viridis(fraction: float) -> str:
    place = fraction * (len(_VIRIDIS) - 1)
    low = min(int(place), len(_VIRIDIS) - 2)
    pair = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in _VIRIDIS[low : low + 2]]
    mixed = [round(a + (b - a) * (place - low)) for a, b in zip(*pair, strict=True)]
    return '#' + ''.join(f'{channel:02x}' for channel in mixed)


def ticks(high: float, count: int = 5) -> list[float]:
    """Round values from 0 to a maximum, at most ``count`` steps apart.

    Parameters
    ----------
    high : float
        In any unit.
    count : int

    Returns
    -------
    list of float

    Examples
    --------
    >>> ticks(87.0)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    >>> ticks(0.0)
    [0.0]
    """
    if not (high > 0 and math.isfinite(high)):
        return [0.0]
    power = 10.0 ** math.floor(math.log10(high / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= high / count)
    return [step * index for index in range(int(high / step + 1e-9) + 1)]


class Canvas:
    """An SVG image that grows element by element.

    Parameters
    ----------
    height : float
        In CSS pixels.
    title, description : str
        Read out by screen readers.
    width : float
        In CSS pixels.
    role : str
        ``img``, or ``group`` when it holds links.
    """

    def __init__(
        self,
        height: float,
        title: str,
        description: str,
        *,
        width: float = WIDTH,
        role: str = 'img',
    ) -> None:
        digest = hashlib.sha256(f'{title}\n{description}'.encode(errors='replace'))
        #: Prefix that keeps the ids of several figures on one page apart.
        self.key = f'f{digest.hexdigest()[:10]}'
        self._parts: list[str] = []
        self._open: list[str] = []
        self._defined: set[str] = set()
        self.open(
            'svg',
            xmlns='http://www.w3.org/2000/svg',
            viewBox=f'0 0 {_plain(width)} {_plain(height)}',
            width=width,
            height=height,
            role=role,
            aria_labelledby=f'{self.key}-t {self.key}-d',
            font_family=FONT,
            font_size=12,
            fill=INK,
        )
        self.add('title', title, id=f'{self.key}-t')
        self.add('desc', description, id=f'{self.key}-d')

    def add(self, tag: str, text: str = '', /, *, tip: str = '', **attributes: object) -> None:
        """Add one element.

        Parameters
        ----------
        tag, text : str
        tip : str
            Shown when the pointer rests on it.
        **attributes
            Underscores stand for hyphens; None leaves one out.
        """
        inside = escape(clean(text)) + (f'<title>{escape(clean(tip))}</title>' if tip else '')
        end = f'>{inside}</{tag}>' if inside else '/>'
        self._parts.append(f'<{tag}{_attributes(attributes)}{end}')

    def open(self, tag: str, /, **attributes: object) -> None:
        """Start an element that holds others; :meth:`close` ends it."""
        self._parts.append(f'<{tag}{_attributes(attributes)}>')
        self._open.append(tag)

    def close(self) -> None:
        """End the element opened last."""
        self._parts.append(f'</{self._open.pop()}>')

    def hatch(self, colour: str) -> str:
        """Define a hatching in a colour, and return the paint that refers to it."""
        name = f'{self.key}-h{colour.lstrip("#")}'
        if name in self._defined:
            return f'url(#{name})'
        self._defined.add(name)
        self.open(
            'pattern', id=name, width=5, height=5, patternUnits='userSpaceOnUse',
            patternTransform='rotate(45)',
        )  # fmt: skip
        self.add('rect', width=5, height=5, fill='#fff')
        self.add('rect', width=2.2, height=5, fill=colour)
        self.close()
        return f'url(#{name})'

    def text(self) -> str:
        """The whole image."""
        while self._open:
            self.close()
        return '\n'.join(self._parts) + '\n'


def _attributes(attributes: dict[str, object]) -> str:
    return ''.join(
        f' {name.rstrip("_").replace("_", "-")}={quoteattr(clean(_plain(value)))}'
        for name, value in attributes.items()
        if value is not None
    )


def _plain(value: object) -> str:
    """Numbers with at most two decimals, the same on every machine."""
    if isinstance(value, float):
        return f'{value:.2f}'.rstrip('0').rstrip('.') if math.isfinite(value) else '0'
    return str(value)
