"""A gallery seen through a network: embeddings and strongest patches, on disk, built in one pass."""

from cnnviz_widgets.index.errors import IndexDamaged, IndexIncomplete, IndexRefused
from cnnviz_widgets.index.index import Index, Picture, Skipped, Strongest

__all__ = ["Index", "IndexDamaged", "IndexIncomplete", "IndexRefused", "Picture", "Skipped", "Strongest"]
