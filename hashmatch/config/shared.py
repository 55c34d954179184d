"""What the s3:// storages share: [s3] says it once, and a storage's own section may say it otherwise.

    [s3] endpoint  <  [clips] endpoint        # likewise [vault] and [anchor_bucket]

Where neither says it, boto3 finds it: in the variables named here, in the profile that AWS_PROFILE
names, or in the instance's role.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SHARED = "s3"
STORAGES = ("clips", "vault", "anchor_bucket")

# Two that are one credential: half of it is never filled up with another's half.
_PAIR = ("access_key_id", "secret_access_key")

# Where boto3 looks for them first, in its order; AWS_REGION is read for it.
VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    }
)


def inherited(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each storage takes from [s3]: section -> setting -> value.

    given: the settings as they came, not checked yet: section -> setting -> value.
    """
    shared = given.get(SHARED)
    if not isinstance(shared, Mapping):
        return {}
    return {
        section: {
            name: shared[name]
            for name in VARIABLES
            if name in shared and not _own(name, given[section])
        }
        for section in STORAGES
        if _is_s3(given.get(section))
    }


def _own(name: str, section: Mapping[str, Any]) -> bool:
    return any(one in section for one in (_PAIR if name in _PAIR else (name,)))


def _is_s3(section: Any) -> bool:
    return isinstance(section, Mapping) and str(section.get("url")).lower().startswith("s3://")
