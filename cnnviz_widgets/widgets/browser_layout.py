"""Where the parts of a `LayerBrowser` stand: pictures above, then outline, tiles and card side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as ipw

from cnnviz_widgets.results import Predictions

VIEWS = {"maps": ("Maps", "what the layer answers to this picture"), "filters": ("Filters", "its weights as pictures")}


class BrowserLayout(ipw.VBox):
    """The parts in their places; what does not fit beside the others goes under them.

    Args:
        source: pictures in.
        outline: the network's layers.
        tiles: the wall of maps.
        arithmetic: what made one value.
        card: the chosen channel.
    """

    def __init__(
        self,
        source: ipw.DOMWidget,
        outline: ipw.DOMWidget,
        tiles: ipw.DOMWidget,
        arithmetic: ipw.DOMWidget,
        card: ipw.DOMWidget,
    ) -> None:
        self.says = ipw.HTML(layout=ipw.Layout(flex="1 1 240px", min_width="220px", max_width="420px"))
        self.view = ipw.ToggleButtons(
            options=[(label, value) for value, (label, _) in VIEWS.items()],
            tooltips=[meaning for _, meaning in VIEWS.values()],
            style={"button_width": "auto"},
            layout=ipw.Layout(width="auto"),
        )
        self.trouble = ipw.HTML(layout=ipw.Layout(display="none"))
        source.layout.flex = "0 1 520px"
        outline.layout = ipw.Layout(flex="0 1 290px", min_width="270px")
        card.layout = ipw.Layout(flex="0 1 325px", min_width="300px")
        middle = ipw.VBox([self.view, tiles, arithmetic], layout=ipw.Layout(flex="1 1 380px", min_width="320px"))
        top = ipw.HBox([source, self.says], layout=_row())
        body = ipw.HBox([outline, middle, card], layout=_row())
        super().__init__([top, self.trouble, body], layout=ipw.Layout(width="100%"))

    def say(self, predictions: Predictions) -> None:
        """Show the likeliest classes."""
        self.says.value = _bars(predictions.names, [float(share) for share in predictions.probabilities])

    def complain(self, text: str) -> None:
        """Show what went wrong where no part of the browser can say it; "" when nothing did."""
        self.trouble.value = f'<div role="alert" style="{_ALARM}">{html.escape(text)}</div>' if text else ""
        self.trouble.layout.display = "" if text else "none"


_ALARM = (
    "padding:6px 10px;border-left:4px solid var(--jp-error-color1,#d32f2f);white-space:pre-wrap;line-height:1.4;"
    "color:var(--jp-ui-font-color1,#212121)"
)


def _row() -> ipw.Layout:
    return ipw.Layout(flex_flow="row wrap", align_items="flex-start", width="100%", grid_gap="12px")


def _bars(names: Sequence[str], shares: Sequence[float]) -> str:
    """Class names with their probability and a bar behind it, as HTML that takes the page's colours."""
    rows = "".join(
        f'<tr><td style="padding-right:8px">{html.escape(name)}</td>'
        f'<td style="text-align:right;padding-right:6px;font-variant-numeric:tabular-nums">{share:.1%}</td>'
        f'<td style="width:90px"><div style="height:9px;width:{100 * share:.1f}%;min-width:1px;'
        f'background:var(--jp-brand-color1,#1976d2)"></div></td></tr>'
        for name, share in zip(names, shares, strict=True)
    )
    return (
        '<div style="line-height:1.5;color:var(--jp-ui-font-color1,#212121)">'
        f'<b>The network says</b><table style="border-collapse:collapse;font-size:inherit">{rows}</table></div>'
    )
