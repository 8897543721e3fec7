"""Which parts of a container run side by side, and what goes past them: the rails of the outline.

All of it follows from what the engine saw flow (`Layer.reads`, `Layer.gathers`). Two parts are *branches* when they
read the very same layers. A *shortcut* goes past a part when what that part reads is read again later, together with
what came of the part (a residual sum, a gate, a dense block's growing stack).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from cnnviz_widgets.engine import Layer, Layers

DEEPEST = 2  # splits within splits that are drawn
PASSES, START, END, FIRST, LAST, SHORTCUT = 0, 1, 2, 4, 8, 16

Sources = frozenset[str]
Lanes = tuple[tuple[Sources, int], ...]  # from the outermost split inwards: what its branches read, and which branch


@dataclass(frozen=True)
class Lane:
    """One branch of a split, as seen from one row: number `branch` (from 0) of `of`; `flags` say what to draw.

    START, END: the branch begins or ends with this row. FIRST, LAST: the split does. SHORTCUT: something goes past it.
    """

    flags: int
    branch: int
    of: int


def rails(names: Sequence[str], container: str, layers: Layers) -> dict[str, tuple[Lane, ...]]:
    """The lanes of each part of a container, outermost split first; parts that stand in no split are left out.

    Args:
        names: the container's own parts, in the order in which they are shown.
        container: its name, "" for the network itself.
        layers: the engine's table.
    """
    nodes = {node: call for name in names for node, call in _calls(name, layers)}
    first = {name: _calls(name, layers)[0][0] for name in names if _calls(name, layers)}
    lifted = _Lift(names, layers)
    reads = {
        node: lifted(call.reads.layers) - {node}
        for node, call in nodes.items()
        if call.reads and not _passes_on(call, node)
    }
    joins = [(float(nodes[node].order), key) for node, key in reads.items() if len(key) > 1]
    if container and len(last := lifted(layers[container].gathers.layers)) > 1:
        joins.append((float("inf"), last))
    shares = Counter(reads.values())
    lanes: dict[str, Lanes] = {}
    members: dict[Sources, list[str]] = {}
    past: set[Sources] = set()
    for node in sorted(nodes, key=lambda node: nodes[node].order):
        key = reads.get(node)
        if key is None:  # it passes on what it reads, so it stands where that stands
            lanes[node] = _common(lanes, lifted(nodes[node].reads.layers))
            continue
        shortcut = any(_goes_past(node, key, join, reads) for order, join in joins if order > nodes[node].order)
        lanes[node] = _common(lanes, key)
        if shares[key] > 1 or shortcut:
            members.setdefault(key, []).append(node)
            lanes[node] += ((key, len(members[key]) - 1),)
        if shortcut:
            past.add(key)
    return _drawn([(name, lanes[first[name]][:DEEPEST] if name in first else ()) for name in names], members, past)


class _Lift:
    """From layers anywhere to the parts of one container ("relu#2" for a call of one that runs several times); what
    lies outside keeps its own name, marked as such."""

    def __init__(self, names: Sequence[str], layers: Layers) -> None:
        self._calls = {name: layers[name].calls for name in names}

    def __call__(self, layers: Sequence[str]) -> Sources:
        return frozenset(map(self._one, layers))

    def _one(self, layer: str) -> str:
        base, _, number = layer.rpartition("#")
        name = base or layer
        while name not in self._calls and "." in name:
            name = name.rpartition(".")[0]
        if name not in self._calls:
            return f"outside {layer}"
        return f"{name}#{number if base else self._calls[name]}" if self._calls[name] > 1 else name


def _calls(name: str, layers: Layers) -> list[tuple[str, Layer]]:
    """The calls of a part, as `_Lift` names them; of one never called itself (a ModuleList) its parts' first."""
    times = layers[name].calls
    if times > 1:
        return [(f"{name}#{number}", layers[f"{name}#{number}"]) for number in range(1, times + 1)]
    if times:
        return [(name, layers[name])]
    inner = [layers[f"{part}#1"] for part in layers if part.startswith(f"{name}.") and layers[part].calls]
    return [(name, min(inner, key=lambda call: call.order))] if inner else []


def _passes_on(call: Layer, node: str) -> bool:
    """Whether it gives what another layer gave: Dropout, Identity (but not a container that gives its last part's)."""
    return bool(call.same_as) and not call.same_as.startswith(f"{node.rpartition('#')[0] or node}.")


def _goes_past(name: str, key: Sources, join: Sources, reads: Mapping[str, Sources]) -> bool:
    """Whether `join` brings what `name` reads together with what came of it."""
    return key < join and any(_comes_of(end, name, reads, set()) for end in join - key)


def _comes_of(end: str, name: str, reads: Mapping[str, Sources], seen: set[str]) -> bool:
    if end == name:
        return True
    if end in seen or end not in reads:
        return False
    seen.add(end)
    return any(_comes_of(source, name, reads, seen) for source in reads[end])


def _common(
    lanes: Mapping[str, Lanes], sources: Sources
) -> Lanes:  # fmt: skip
    """The lanes that all sources stand in: behind a join the split is over."""
    found = [lanes.get(source, ()) for source in sources]
    if not found:
        return ()
    same = takewhile(lambda level: len(set(level)) == 1, zip(*found, strict=False))
    return tuple(level[0] for level in same)


def _drawn(
    rows: Sequence[tuple[str, Lanes]],
    members: Mapping[Sources, Sequence[str]],
    past: set[Sources],
) -> dict[str, tuple[Lane, ...]]:
    """Lanes with their beginnings and ends among rows one under the other."""
    out = {}
    order: dict[Sources, list[int]] = {key: [] for key in members}  # branches are numbered as they are shown
    for at, (name, lanes) in enumerate(rows):
        before, after = rows[at - 1][1] if at else (), rows[at + 1][1] if at + 1 < len(rows) else ()
        found = []
        for depth, (key, branch) in enumerate(lanes):
            flags = SHORTCUT if key in past else PASSES
            flags |= 0 if lanes[: depth + 1] == before[: depth + 1] else START
            flags |= 0 if lanes[: depth + 1] == after[: depth + 1] else END
            flags |= 0 if _split(lanes, depth) == _split(before, depth) else FIRST
            flags |= 0 if _split(lanes, depth) == _split(after, depth) else LAST
            if branch not in order[key]:
                order[key].append(branch)
            found.append(Lane(flags, order[key].index(branch), len(members[key])))
        if found:
            out[name] = tuple(found)
    return out


def _split(lanes: Lanes, depth: int) -> object:
    """Which split a row stands in at this depth."""
    return (tuple(lanes[:depth]), lanes[depth][0]) if depth < len(lanes) else None
