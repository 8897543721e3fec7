"""The background work of a `FeatureStudio`: one ascent at a time, begun, paused, gone on with, stopped and kept."""

from __future__ import annotations

from collections.abc import Callable

from cnnviz_widgets.engine import Cancelled, Engine
from cnnviz_widgets.methods.synthesis import Recipe
from cnnviz_widgets.results import Synthesis
from cnnviz_widgets.widgets.desk import Desk, Every
from cnnviz_widgets.widgets.pace import Pace, duration
from cnnviz_widgets.widgets.studio_code import studio_code
from cnnviz_widgets.widgets.studio_making import Making, Order
from cnnviz_widgets.widgets.studio_messages import curve_message, frame_message, result_messages, result_words
from cnnviz_widgets.widgets.studio_view import StudioView

__all__ = ["StudioJobs"]

MAKE, KEEP, ASK = "make", "keep", "ask"  # The concerns at the desk.
OFTEN = 0.15  # Seconds between two reports.


class StudioJobs:
    """What a `FeatureStudio` has in work. While it is paused the worker is free: the job has ended, the ascent has not.

    Args:
        engine: the network.
        view: where it is seen.
        kept: called with what was kept and its code, in the worker's thread.

    Attributes:
        making: the ascent on the screen, or None before the first.
        results: what it made, or None while it does.
    """

    def __init__(self, engine: Engine, view: StudioView, kept: Callable[[list[Synthesis], str], object]) -> None:
        self._engine, self._view, self._kept = engine, view, kept
        self._desk = Desk(engine.worker, self._failed)
        self._pace, self._due = Pace(), Every(OFTEN)
        self.making: Making | None = None
        self.results: list[Synthesis] | None = None

    @property
    def phase(self) -> str:
        """ "idle", "running", "paused", "done", "stopped" or "error"."""
        return str(self._view.status["state"])

    @property
    def alive(self) -> bool:
        """Whether an ascent is under way, running or paused."""
        return self.phase in ("running", "paused")

    # --- from any thread ----------------------------------------------------------------------------------------------

    def start(self, order: Order, recipe: Recipe) -> None:
        """Begin; what was being made is given up."""
        self.making, self.results = Making(self._engine, order, recipe), None
        self._go(self.making, "waiting for other work")

    def pause(self) -> None:
        """Rest between two steps; nothing where nothing runs."""
        making = self.making
        if making is not None and self.phase == "running":
            making.ask("pause")
            self._view.report("paused", f"paused at {_at(making)}", self._share(making))

    def resume(self) -> None:
        """Go on where it was paused."""
        making = self.making
        if making is not None and self.phase == "paused":
            if making.ask(""):  # it had not even noticed
                self._view.report("running", _at(making), self._share(making))
            else:
                self._go(making, "waiting for other work")

    def stop(self) -> None:
        """End it; the best so far is measured and stays."""
        making = self.making
        if making is None or not self.alive:
            return
        paused = self.phase == "paused"
        busy = making.ask("stop")
        self._view.report("stopped", f"stopped at {_at(making)}", self._share(making))
        if busy:
            return
        if making.done:
            self._desk.submit(MAKE, lambda: self._make(making))
        elif not paused:
            self._desk.stop(MAKE)

    def change(self, recipe: Recipe) -> None:
        """From the next step on it is made like this."""
        if self.making is not None and self.alive:
            self.making.recipe = recipe

    def drop(self) -> None:
        """Give up what is paused, because what is wanted now is another picture; the last frame stays."""
        making = self.making
        if making is not None and self.phase == "paused":
            making.ask("stop")
            self._desk.stop(MAKE)
            self._view.report("idle", "changed; Start begins anew")

    def keep(self) -> None:
        """Measure what is there now and hand it over.

        Raises:
            RuntimeError: there is nothing yet.
        """
        making, results = self.making, self.results
        if making is None or not (results or making.done):
            raise RuntimeError("there is no picture yet that could be kept; press Start, or call start()")
        if results:
            self._kept(results, self.code)
        else:
            self._desk.submit(KEEP, lambda: self._kept(making.made(), self._code(making, making.done)), urgent=True)

    def ask(self, work: Callable[[], object]) -> None:
        """Have something done that takes no longer than a step; what is wrong with it is shown."""
        self._desk.submit(ASK, lambda: self._try(work), urgent=True)

    def wait(self, timeout: float | None) -> None:
        """See `Desk.wait`."""
        self._desk.wait(timeout)

    def close(self) -> None:
        """Stop everything, and show nothing any more."""
        self.making = None
        self._desk.stop()

    @property
    def code(self) -> str:
        """The call that makes what is on the screen, or what will be; "" before the first start."""
        making = self.making
        return "" if making is None else self._code(making, making.total if self.alive else making.done)

    # --- in the worker's thread ---------------------------------------------------------------------------------------

    def _go(self, making: Making, words: str) -> None:
        self._view.error = ""
        self._view.report("running", words, self._share(making) if making.done else None)
        self._pace = Pace()
        self._desk.submit(MAKE, lambda: self._make(making))

    def _make(self, making: Making) -> None:
        if making is self.making and not making.done:
            self._view.report("running", "looking at the network")
        try:
            outcome = making.work(lambda: self._frame(making), lambda: self._tell(making))
        except FloatingPointError:
            if making.done and making is self.making:
                self._finish(making)  # what there was before the step that failed
            raise
        if making is not self.making:
            return
        if outcome == "pause":
            self._frame(making)
            if making.asked == "pause":
                self._view.report("paused", f"paused at {_at(making)}", self._share(making))
            return
        words = self._finish(making)
        if outcome == "stop":
            self._view.report("stopped", f"stopped at {_at(making)}; {words}", self._share(making))
        else:
            self._view.report("done", f"{making.done:,} steps in {duration(making.seconds)}; {words}", 1.0)

    def _finish(self, making: Making) -> str:
        """Measure what was made and show it; returns that in words."""
        results = making.made()
        if making is self.making:
            self.results = results
            self._view.show(*result_messages(results))
            self._view.publish("code", self._code(making, making.done))
        return result_words(results)

    def _tell(self, making: Making) -> None:
        """One more step was made."""
        if making is not self.making:
            return
        self._pace.mark(making.done)
        if self._view.ready:
            self._frame(making)
        if self._due.due() and not making.asked:
            words = [_at(making)]
            rate, left = self._pace.rate, self._pace.left(making.total)
            if rate is not None and left is not None:
                speed = f"{rate:.0f}" if rate >= 9.5 else f"{rate:.1f}"
                words += [f"{speed} steps a second", f"{duration(left)} left"]
            self._view.report("running", ", ".join(words), self._share(making))

    def _frame(self, making: Making) -> None:
        if making is not self.making:
            return
        traces = making.traces()
        words = [f"value {trace[-1]:.4g}" if trace.size else "noise" for trace in traces]
        if making.order.init is not None and not traces.size:
            words = ["the picture it begins with"] * len(words)
        self._view.show(frame_message(making.pictures(), making.names, words), curve_message(traces))
        self._view.publish("code", self._code(making, making.total))

    def _code(self, making: Making, steps: int) -> str:
        return studio_code(self._engine, making.order, making.first, steps or making.total, list(making.moves))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Cancelled:
            raise
        except Exception as error:
            self._view.publish("error", str(error) or type(error).__name__)

    def _failed(self, concern: str, text: str) -> None:
        if concern == MAKE:
            self._view.report("error", text)
        else:
            self._view.publish("error", text)

    @staticmethod
    def _share(making: Making) -> float:
        return min(1.0, making.done / making.total)


def _at(making: Making) -> str:
    return f"step {making.done:,} of {making.total:,}"
