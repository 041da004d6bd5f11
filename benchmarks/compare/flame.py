"""A flame graph as a small static SVG,
with a title on each frame and without a script, so that any page can show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from zlib import crc32

WIDTH, ROW, LETTER = 1200, 17, 6.6
_LEAST_SHARE = 0.002
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="ui-monospace, monospace" font-size="11">'
    '<rect width="100%" height="100%" fill="#fff"/><text x="8" y="18" font-size="13">{title}</text>'
)


@dataclass
class _Frame:
    samples: int = 0
    below: dict[str, "_Frame"] = field(default_factory=dict)


def flame_svg(stacks: Mapping[Sequence[str], int], title: str) -> str:
    """The stacks (outermost frame first, with how often each was seen), outermost at the top.

    Frames of less than a five-hundredth of all samples are left out.
    """
    root = _Frame()
    for stack, count in stacks.items():
        frame = root
        frame.samples += count
        for name in stack:
            frame = frame.below.setdefault(name, _Frame())
            frame.samples += count
    parts: list[str] = []
    depth = _draw(root, 0, 0.0, WIDTH / max(root.samples, 1), root.samples, parts)
    head = _HEAD.format(width=WIDTH, height=(depth + 1) * ROW + 34, title=escape(title))
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _draw(frame: _Frame, depth: int, x: float, scale: float, total: int, parts: list[str]) -> int:
    """Draws what is below `frame`, widest first; returns the deepest row drawn."""
    deepest = depth
    for name, child in sorted(frame.below.items(), key=lambda item: -item[1].samples):
        share = child.samples / total
        if share < _LEAST_SHARE:
            continue
        width, y = child.samples * scale, depth * ROW + 28
        hue = 15 + crc32(name.partition(" ")[2].encode()) % 40
        letters = int((width - 6) / LETTER)
        text = name if len(name) <= letters else name[: letters - 1] + "…"
        label = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(text)}</text>' if letters > 3 else ""
        parts.append(
            f'<g><title>{escape(name)}: {share:.1%}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
            f'height="{ROW - 1}" fill="hsl({hue},85%,72%)"/>{label}</g>'
        )
        deepest = max(deepest, _draw(child, depth + 1, x, scale, total, parts))
        x += width
    return deepest
