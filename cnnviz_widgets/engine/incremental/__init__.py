"""Exact incremental inference: when a patch moves over a picture, only what it can change is computed again."""

from cnnviz_widgets.engine.incremental.facade import Incremental
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want

__all__ = ["Incremental", "Sweep", "Want"]
