"""What widgets that wait for work have in common: what is being done, and what went wrong, said under the widget."""

from __future__ import annotations

from typing import Any

import traitlets as t

from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["Reporting"]

STATES = ("idle", "running", "paused", "done", "error", "stopped")


class Reporting(Publishing):
    """A widget that has `status` and `error`.

    Attributes:
        status: {state, text, progress}; set it with `report`.
        error: What went wrong, shown in a box; "" when nothing did.
    """

    status = t.Dict({"state": "idle", "text": "", "progress": None}).tag(sync=True)
    error = t.Unicode("").tag(sync=True)

    def report(self, state: str, text: str = "", progress: float | None = None) -> None:
        """Say what the kernel is doing: "idle", "running" (with a Stop button), "paused", "done", "stopped" or
        "error".

        Args:
            state: One of these.
            text: Shown beside the progress bar; for "error" the message in the box.
            progress: 0 to 1, or None while it is not known.
        """
        self._publish("status", {"state": state, "text": text, "progress": progress})

    @t.validate("status")
    def _known_status(self, proposal: Any) -> dict[str, Any]:
        status = {"text": "", "progress": None, **proposal["value"]}
        if status.get("state") not in STATES:
            raise t.TraitError(f"a status has a state, one of {', '.join(STATES)}, not {status.get('state')!r}")
        progress = status["progress"]
        if progress is not None and not (isinstance(progress, int | float) and 0 <= progress <= 1):
            raise t.TraitError(f"progress goes from 0 to 1, or is None; not {progress!r}")
        return {**status, "text": str(status["text"])}
