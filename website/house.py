"""The house: the library's parts and their imports, drawn from the code into ``book/images/house.svg``."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

LIBRARY = Path(__file__).parent.parent / "vilbert_lib"
PICTURE = LIBRARY.parent / "book" / "images" / "house.svg"
BOX, ROW, WIDTH = (118, 30), 78, 900


def imports() -> dict[str, set[str]]:
    """For each package and module at the library's top the others that it imports, wherever in its code."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY.rglob("*.py"):
        part = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        names = found.setdefault(part, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                given = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                given = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            names |= {name.split(".")[1] for name in given if name.startswith("vilbert_lib.")} - {part}
    del found["__init__"], found["__main__"]
    return {part: names & found.keys() for part, names in found.items()}


def direct(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Keep the edges of an acyclic graph that no longer way replaces."""
    below: dict[str, set[str]] = {}
    for part in TopologicalSorter(graph).static_order():
        below[part] = set(graph[part]).union(*(below[each] for each in graph[part]))
    return {part: names - set().union(*(below[each] for each in names)) for part, names in graph.items()}


def rows(graph: dict[str, set[str]]) -> list[list[str]]:
    """Parts by their height: the lowest row imports nothing, every other imports something of the row below."""
    height: dict[str, int] = {}
    for part in TopologicalSorter(graph).static_order():
        height[part] = max((height[each] + 1 for each in graph[part]), default=0)
    found = [sorted(part for part in graph if height[part] == i) for i in range(max(height.values()) + 1)]
    place: dict[str, float] = {}
    for row in found:  # a part stands above the mean of what it imports, so that fewer lines cross
        lines = direct(graph)
        row.sort(key=lambda part: sum(place[e] for e in lines[part]) / len(lines[part]) if lines[part] else 0)
        place.update({part: (i + 1) / (len(row) + 1) for i, part in enumerate(row)})
    return found


def svg() -> str:
    """Draw the parts as boxes, row upon row, with a line for each import."""
    graph = imports()
    stories = rows(graph)
    centres = {
        part: (WIDTH * (i + 1) / (len(row) + 1), ROW * (len(stories) - height) - ROW / 2)
        for height, row in enumerate(stories)
        for i, part in enumerate(row)
    }
    half = BOX[1] / 2
    lines = [
        f'<line x1="{x:.0f}" y1="{y + half:.0f}" x2="{centres[to][0]:.0f}" y2="{centres[to][1] - half:.0f}"/>'
        for part, (x, y) in sorted(centres.items())
        for to in sorted(direct(graph)[part])
    ]
    boxes = [
        f'<rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}">{part}</text>'
        for part, (x, y) in sorted(centres.items())
    ]
    style = (
        "rect{fill:#f5f2ea;stroke:#5b6770} line{stroke:#8a949b}"
        " text{font:14px sans-serif;text-anchor:middle;fill:#222}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {ROW * len(stories)}">'
    ground = f'<path d="M0 0H{WIDTH}V{ROW * len(stories)}H0Z" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", ground, *lines, *boxes, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
