"""The strongest patches of a unit on its card: what the channel answers to most among many pictures."""

from __future__ import annotations

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.index import Index
from cnnviz_widgets.methods.patches import top_patches
from cnnviz_widgets.results import Unit
from cnnviz_widgets.widgets.unit_card import UnitCard

__all__ = ["CardPatches"]

COUNT = 8  # Two rows of the card.


class CardPatches:
    """Fills the patches of a card from an index.

    Args:
        engine: the network whose units the card shows.
        index: pictures as that network sees them.
        card: where the patches go.

    Raises:
        TypeError: `index` is no Index.
        ValueError: it was opened with another engine: its patches may be those of another network.
    """

    def __init__(self, engine: Engine, index: Index, card: UnitCard) -> None:
        if not isinstance(index, Index):
            raise TypeError(f"index is {type(index).__name__}; wanted an Index, as Index.open gives it")
        if index.engine is not engine:
            raise ValueError(
                f"this index was opened with another engine ({index.engine.name}), and its patches are not those of "
                f"{engine.name}; open it with this one: Index.open({str(index.path)!r}, engine)"
            )
        self._index = index
        self._card = card

    def show(self, unit: Unit) -> None:
        """Show the strongest patches of the unit's channel; a layer that the index has none of gets none."""
        if unit.layer not in self._index.units or self._card.patches.get("key") == self._card.unit.get("name"):
            return  # There are none, or they are there already: they are the same for every picture on the card.
        found = top_patches(self._index, Unit(unit.layer, unit.channel), min(COUNT, self._index.k), projection=None)
        captions = [f"{value:.3g} {name}" for value, name in zip(found.activations, found.names, strict=True)]
        self._card.show_patches(found.pictures, captions)
