"""Plots for the benchmarks: lines through points, as an SVG file whose bytes depend on nothing but the figures.

The only file that imports matplotlib, which comes with the extra ``bench`` and is loaded when a plot is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from pathlib import Path

SIZE_INCHES: Final = (8.5, 4.2)
MARKERS: Final = "osD^vP*X"
SETTINGS: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "crdt-pos",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class NoPlots(click.ClickException):
    """Plots need matplotlib, which is not installed: pip install 'crdt-pos[bench]'."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


def require() -> None:
    """Raise :class:`NoPlots` if no plot could be drawn: asked before a long measurement, not after it."""
    if find_spec("matplotlib") is None:
        raise NoPlots


def lines(
    path: Path,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    log_x: bool = False,
    log_y: bool = False,
    note: str = "",
) -> None:
    """Write one line for each of ``series``, name → points (x, y), to ``path`` as SVG; ``note`` stands below in small.

    The same arguments and version of matplotlib give the same bytes: no date, fixed ids. A linear y axis begins at 0.
    Raises :class:`NoPlots` without matplotlib, ``OSError`` if the file cannot be written.
    """
    require()
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # matplotlib's own types are only partly known
    with mpl.rc_context(SETTINGS):  # pyright: ignore[reportUnknownMemberType]
        figure: Any = Figure(figsize=SIZE_INCHES, layout="constrained")
        canvas: Any = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for number, (name, points) in enumerate(series.items()):
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(xs, ys, marker=MARKERS[number % len(MARKERS)], markersize=5, label=name)
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        if log_x:
            axes.set_xscale("log")
            ticks = sorted({x for points in series.values() for x, _ in points})
            axes.set_xticks(ticks, [f"{x:,g}" if x < 1e6 else f"{x:.0e}" for x in ticks])
            axes.minorticks_off()
        if log_y:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.08 * max((y for points in series.values() for _, y in points), default=0) or 1)
        if len(series) > 1:
            figure.legend(frameon=False, loc="outside right upper")
        if note:
            figure.supxlabel(note, fontsize=8, color="0.35")
        canvas.print_svg(str(path), metadata={"Date": None})
