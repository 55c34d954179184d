"""One mutant, looked at by hashmatch and, if that calls it clean, by the witness.

result = examine(mutant, looker, witness, truths)
result.outcome, result.finds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuzz.flv import is_enhanced
from fuzz.looking import Look, Looks
from fuzz.mutants import Mutant
from fuzz.rules import Evidence, Find, before_the_witness, judge
from fuzz.truth import Truth, hashed
from fuzz.witness import WITHOUT_EDITS, Input, Witness
from hashmatch.model import Outcome

_BOXED = (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"free", b"skip", b"wide")


@dataclass(frozen=True)
class Result:
    """outcome: with its reason, in a word each."""

    number: int
    kind: str
    seeds: tuple[str, ...]
    note: str
    suffix: str
    outcome: str
    finds: tuple[Find, ...]


def examine(mutant: Mutant, looker: Looks, witness: Witness, truths: Mapping[str, Truth]) -> Result:
    try:
        look = looker.look(mutant.data)
    except Exception as error:  # noqa: BLE001 - any exception in the parent is what is looked for
        said = Find("exception", f"{type(error).__name__}: {error}")
        return _result(mutant, "exception", [said])
    finds = before_the_witness(mutant, look)
    if look.outcome is Outcome.CLEAN:
        finds += judge(mutant, look, evidence(mutant, witness), truths)
    return _result(mutant, _outcome(look), finds)


def evidence(mutant: Mutant, witness: Witness) -> Evidence:
    """Of the file as it is, without edit lists where there may be some, and of what lies in it."""
    inputs = [Input(mutant.data)]
    if mutant.data[4:8] in _BOXED:
        inputs.append(Input(mutant.data, WITHOUT_EDITS))
    shown = witness.look([*inputs, *mutant.others])
    # Of what it does not know it shows nothing, and complains of each whole file.
    ignorant = not len(shown.frames) and is_enhanced(mutant.data)
    complaints = frozenset[str]() if ignorant else shown.complaints
    return Evidence(hashed(shown.frames), complaints, shown.claimed)


def _outcome(look: Look) -> str:
    return (
        look.outcome.value if look.reason is None else f"{look.outcome.value}: {look.reason.value}"
    )


def _result(mutant: Mutant, outcome: str, finds: list[Find]) -> Result:
    return Result(
        mutant.number,
        mutant.kind,
        mutant.seeds,
        mutant.note,
        mutant.suffix,
        outcome,
        tuple(dict.fromkeys(finds)),
    )
