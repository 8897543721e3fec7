"""What a sweep saved, and what stopped it from saving more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """How the latest sweep was computed; prints itself.

    Attributes:
        network: its name.
        positions: how many places of the patch.
        macs: multiply-adds of the whole network for one picture.
        computed: multiply-adds for one position, on average.
        stops: operations before which windows had to be made whole maps; with "whole map" where a window had grown
            to (nearly) all of its map.
        why_not: why every position ran through the whole network; "" where it did not.
        base_bytes: memory of the activations of the picture without a patch.
        block: positions at once.
        block_bytes: memory that these take at most.
    """

    network: str
    positions: int
    macs: int
    computed: int
    stops: tuple[str, ...]
    why_not: str
    base_bytes: int
    block: int
    block_bytes: int

    @property
    def skipped(self) -> float:
        """The share of multiply-adds that was not computed, 0 to 1."""
        return 1 - self.computed / self.macs if self.macs else 0.0

    @classmethod
    def plain(cls, network: str, positions: int, batch: int, why: str) -> Report:
        """Of a sweep by plain batches of whole pictures."""
        return cls(network, positions, 0, 0, (), why, 0, batch, 0)

    def __str__(self) -> str:
        if self.why_not:
            batches = f"{self.positions} positions in plain batches of {self.block}"
            return f"{self.network}: {batches}, because {self.why_not}"
        lines = [f"{self.network}: {self.positions} positions, {self.skipped:.1%} of {_big(self.macs)} skipped at each"]
        if self.stops:
            lines.append(f"whole maps from: {', '.join(self.stops)}")
        held = f"{self.base_bytes / 2**20:.0f} MiB for the bare picture, {self.block_bytes / 2**20:.0f} MiB"
        lines.append(f"memory: {held} for {self.block} positions at once")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def _big(macs: int) -> str:
    return f"{macs / 1e9:.2f} G multiply-adds" if macs >= 1e8 else f"{macs / 1e6:.1f} M multiply-adds"
