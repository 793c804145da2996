"""How a dashboard lies on Grafana's grid of 24 columns; `layout.py` draws all of them as text."""

import textwrap
from dataclasses import dataclass

from dashboards import DASHBOARDS, Dashboard, Panel

COLUMNS = 24

# Characters of a column, and grid rows of a line: a grid cell is wider than high.
WIDE, HIGH = 6, 2


@dataclass(frozen=True)
class Box:
    panel: Panel
    x: int
    y: int
    w: int
    h: int

    @classmethod
    def of(cls, panel: Panel) -> "Box":
        return cls(panel, **panel.json["gridPos"])

    @property
    def right(self) -> int:
        return self.x + self.w

    @property
    def bottom(self) -> int:
        return self.y + self.h

    def overlaps(self, other: "Box") -> bool:
        beside = self.right <= other.x or other.right <= self.x
        above = self.bottom <= other.y or other.bottom <= self.y
        return not (beside or above)


def drawn(dashboard: Dashboard) -> str:
    """A map: each panel a box with its title, its kind and its unit."""
    boxes = [Box.of(panel) for panel in dashboard.everything()]
    rows: dict[int, list[Box]] = {}
    for box in sorted(boxes, key=lambda box: (box.y, box.x)):
        rows.setdefault(box.y, []).append(box)
    lines = [f"{dashboard.json['title']} ({dashboard.json['uid']})"]
    for beside in rows.values():
        if beside[0].panel.is_row:
            lines.append(f"-- {beside[0].panel.json['title']} ".ljust(COLUMNS * WIDE, "-"))
        else:
            lines += side_by_side(beside)
    return "\n".join(lines)


def words_in(box: Box) -> list[str]:
    panel = box.panel.json
    says = f"{panel['type']}, {panel['fieldConfig']['defaults']['unit']}"
    inner = box.w * WIDE - 3
    words = textwrap.wrap(panel["title"], inner) + textwrap.wrap(says, inner)
    return words + [""] * (box.h // HIGH - len(words))


def side_by_side(boxes: list[Box]) -> list[str]:
    columns = []
    texts = [words_in(box) for box in boxes]
    height = max(len(words) for words in texts)
    for box, words in zip(boxes, texts, strict=True):
        inner = box.w * WIDE - 2
        words += [""] * (height - len(words))
        columns.append(["|" + f" {word}"[:inner].ljust(inner) + "|" for word in words])
        columns[-1].append("+" + "-" * inner + "+")
    return ["".join(parts) for parts in zip(*columns, strict=True)]


if __name__ == "__main__":
    print("\n\n".join(drawn(dashboard) for dashboard in DASHBOARDS))
