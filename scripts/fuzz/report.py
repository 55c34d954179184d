"""What a run came to: files by kind and outcome, and each find with the way to make it again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from fuzz.examining import Result
from fuzz.rules import kinds


class Tally:
    """Counts results, and keeps those with finds."""

    def __init__(self) -> None:
        self.files = 0
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.found: list[Result] = []

    def add(self, result: Result) -> None:
        if result.number >= 0:
            self.files += 1
            self._outcomes[result.kind][result.outcome.partition(":")[0]] += 1
        if result.finds:
            self.found.append(result)

    def text(self, seed: int, seconds: float) -> str:
        names = sorted({name for counts in self._outcomes.values() for name in counts})
        finds = Counter(result.kind for result in self.found)
        lines = [f"{'kind':20}" + "".join(f"{name:>13}" for name in names) + f"{'finds':>8}"]
        for kind, counts in self._outcomes.items():
            cells = "".join(f"{counts[name] or '.':>13}" for name in names)
            lines.append(f"{kind:20}{cells}{finds[kind] or '.':>8}")
        total: Counter[str] = sum(self._outcomes.values(), Counter())
        cells = "".join(f"{total[name]:>13}" for name in names)
        lines.append(f"{'all':20}{cells}{len(self.found):>8}")
        rate = self.files / seconds if seconds else 0.0
        lines.append(f"{self.files} files in {seconds:.0f} s: {rate:.1f} a second")
        if self.found:
            lines += ["", *finds_text(self.found, seed)]
        return "\n".join(lines)


def finds_text(found: Sequence[Result], seed: int) -> Iterable[str]:
    for result in sorted(found, key=lambda one: (kinds(one.finds), one.kind, one.number)):
        yield f"--seed {seed} --number {result.number}   {result.kind}: {result.note}"
        yield f"    {result.outcome}; {', '.join(result.seeds)}"
        for find in result.finds:
            yield f"    {find.rule}: {find.what}"
