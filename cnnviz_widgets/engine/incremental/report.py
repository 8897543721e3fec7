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
        stops: operations, with their layers, from which on maps are whole: they are not known to keep windows apart, or
            the window had grown to (nearly) all of its map.
        base_bytes: memory of the activations of the picture without a patch.
        weights_bytes: memory of weights that are not the network's own: with batch norm in them, laid out
            anew, or made for tiles.
        block: positions at once.
        block_bytes: memory that these take at most.
        why_not: why every position ran through the whole network; "" where it did not.
    """

    network: str
    positions: int
    macs: int
    computed: int
    stops: tuple[str, ...]
    base_bytes: int
    weights_bytes: int
    block: int
    block_bytes: int
    why_not: str = ""

    @property
    def skipped(self) -> float:
        """The share of multiply-adds that was not computed, 0 to 1."""
        return 1 - self.computed / self.macs if self.macs else 0.0

    @classmethod
    def plain(cls, network: str, positions: int, batch: int, why: str) -> Report:
        """Of a sweep by plain batches of whole pictures."""
        return cls(network, positions, 0, 0, (), 0, 0, batch, 0, why)

    def __str__(self) -> str:
        if self.why_not:
            batches = f"{self.positions} positions in plain batches of {self.block}"
            return f"{self.network}: {batches}, because {self.why_not}"
        lines = [f"{self.network}: {self.positions} positions, {self.skipped:.1%} of {_big(self.macs)} skipped at each"]
        if self.stops:
            lines.append(f"whole maps from: {', '.join(self.stops)}")
        base, weights, block = (n / 2**20 for n in (self.base_bytes, self.weights_bytes, self.block_bytes))
        lines.append(
            f"memory: {base:.0f} MiB for the bare picture, {weights:.0f} MiB for weights, {block:.0f} MiB for "
            f"{self.block} positions at once"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def _big(macs: int) -> str:
    return f"{macs / 1e9:.2f} G multiply-adds" if macs >= 1e8 else f"{macs / 1e6:.1f} M multiply-adds"
