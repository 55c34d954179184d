"""Recall against cost as one SVG, with its text in it, for light pages and dark ones.

picture.recall_against_cost(rows)     # the everyday edits; "" where vPDQ was not measured
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from recall import figures
from recall.measuring import METHODS, VPDQ, Measured

_WIDTH, _HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 730, 78, 350
_LABEL = 112, 38  # what one takes up
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TITLES = {
    VPDQ: "vPDQ, 1 frame/s",
    "keyframes": "keyframes",
    "reference": "reference frames",
    "every": "every frame",
}
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #57606a }
  .page { fill: #ffffff }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .asked { fill: #1a7f37; fill-opacity: .1 }
  .ours { stroke: #0969da; fill: #0969da; stroke-width: 2 }
  .peer { stroke: #bc4c00; fill: #bc4c00; stroke-width: 2 }
  .hollow { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .page, .hollow { fill: #0d1117 }
    .grid { stroke: #30363d }
    .asked { fill: #3fb950; fill-opacity: .16 }
    .ours { stroke: #58a6ff; fill: #58a6ff }
    .peer { stroke: #f0883e; fill: #f0883e }
    .ours.hollow, .peer.hollow { fill: #0d1117 }
  }
  .ours.hollow, .peer.hollow { fill-opacity: 1 }
"""


def recall_against_cost(rows: Sequence[Measured]) -> str:
    """Along: core-seconds as a share of vPDQ's; up: clips found, and listed frames found."""
    shown = [one for method in METHODS if (one := figures.accepted(rows, method))]
    costs = {one.method: one.cost.ratio for one in shown}
    points = [(one, share) for one in shown if (share := costs[one.method])]
    if not points:
        return ""
    low = min(share for _, share in points) / 1.7
    high = max(1.0, *(share for _, share in points)) * 2.2

    def across(share: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * math.log(share / low) / math.log(high / low)

    def up(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * share

    clips = max(one.found.clips for one, _ in points)
    videos = len({row.source for row in figures.everyday(rows, points[0][0].method)})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>Recall against cost: {_described(points)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>',
        _text(20, 28, "What is found of edited copies, and at what cost", "title"),
        _text(20, 48, f"Ten everyday edits of {videos} videos, {clips} clips, listed by vPDQ at 1 frame/s",
              "small"),
    ]  # fmt: skip
    corner = across(figures.MOST_COST)
    parts.append(
        f'<rect class="asked" x="{_LEFT}" y="{up(1):.1f}" width="{corner - _LEFT:.1f}" '
        f'height="{up(figures.LEAST_SHARE) - up(1):.1f}"/>'
    )
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        y = up(share)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{share:.0%}", "small", "end"))
    for tick in (tick for tick in _TICKS if low <= tick <= high):
        parts.append(
            f'<path class="grid" d="M{across(tick):.1f} {_BOTTOM}v5" /><path class="grid" '
            f'd="M{across(tick):.1f} {_TOP}V{_BOTTOM}" stroke-dasharray="2 4"/>'
        )
        parts.append(_text(across(tick), _BOTTOM + 20, f"{tick:g}", "small", "middle"))
    along = "core-seconds, as a share of vPDQ's (log scale)"
    parts.append(_text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, along, "small", "middle"))
    labels: list[tuple[float, float]] = []
    for one, share in points:
        parts += _point(one, across(share), up, labels)
    parts += _legend()
    return "\n".join([*parts, "</svg>", ""])


def _point(
    one: figures.Accepted,
    x: float,
    up: Callable[[float], float],
    labels: list[tuple[float, float]],
) -> list[str]:
    """labels: where there are some already, below which this one's goes; it is added to them."""
    found = up(one.found.found / one.found.clips)
    frames = up(one.found.share)
    kind = "peer" if one.method == VPDQ else "ours"
    low = max(found, frames) + 22
    while any(abs(x - left) < _LABEL[0] and abs(low - top) < _LABEL[1] for left, top in labels):
        low += 4
    labels.append((x, low))
    return [
        f'<path class="{kind}" d="M{x:.1f} {found:.1f}V{frames:.1f}"/>',
        f'<circle class="{kind} hollow" cx="{x:.1f}" cy="{found:.1f}" r="6"/>',
        f'<circle class="{kind}" cx="{x:.1f}" cy="{frames:.1f}" r="4"/>',
        _text(x, low, _TITLES[one.method], "", "middle"),
        _text(x, low + 16, f"{one.found.found} of {one.found.clips} · {one.found.share:.2f}",
              "small", "middle"),
    ]  # fmt: skip


def _legend() -> list[str]:
    y = _HEIGHT - 16
    return [
        f'<circle class="ours hollow" cx="26" cy="{y - 4}" r="6"/>',
        _text(38, y, "clips found", "small"),
        f'<circle class="ours" cx="130" cy="{y - 4}" r="4"/>',
        _text(140, y, "mean share of the listed frames found", "small"),
        f'<rect class="asked" x="386" y="{y - 11}" width="18" height="12"/>',
        _text(410, y, f"target: {figures.LEAST_SHARE:.0%} and more at {figures.MOST_COST:g} "
              "of the cost and less", "small"),
    ]  # fmt: skip


def _described(points: Sequence[tuple[figures.Accepted, float]]) -> str:
    return "; ".join(
        f"{_TITLES[one.method]}: {one.found.found} of {one.found.clips} clips, "
        f"{one.found.share:.2f} of the frames, cost {share:.2f}"
        for one, share in points
    )


def _text(x: float, y: float, said: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{said}</text>'
