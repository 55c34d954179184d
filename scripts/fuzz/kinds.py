"""All kinds of mutants. The order is part of what a number means: new ones go to the end."""

from __future__ import annotations

from collections.abc import Mapping

from fuzz import damage, ebml, flv, joins, mp4, mpegts, pictures, remux, riff
from fuzz.mutants import Make

KINDS: Mapping[str, Make] = {
    **damage.KINDS,
    **mp4.KINDS,
    **ebml.KINDS,
    **flv.KINDS,
    **mpegts.KINDS,
    **riff.KINDS,
    **pictures.KINDS,
    **remux.KINDS,
    **joins.KINDS,
}
