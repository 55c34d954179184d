"""Typed settings: command line > environment > hashmatch.toml > defaults.

    settings = load(Path("hashmatch.toml"))
    settings.clips.url

Every setting `[section] key` can be given as HASHMATCH_SECTION__KEY. Names nobody knows are refused,
in the file and in the environment: a misspelt limit would otherwise be no limit.
"""

from hashmatch.config.rendering import render
from hashmatch.config.sections import (
    AnchorBucket,
    Anchors,
    Clips,
    Custody,
    Decode,
    People,
    Review,
    Storage,
    Vault,
    Withdraw,
)
from hashmatch.config.settings import FILE, Settings, load

__all__ = [
    "FILE",
    "AnchorBucket",
    "Anchors",
    "Clips",
    "Custody",
    "Decode",
    "People",
    "Review",
    "Settings",
    "Storage",
    "Vault",
    "Withdraw",
    "load",
    "render",
]
