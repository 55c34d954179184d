"""The host: which machine did something, without its name.

host_id()                # 32 hexadecimal digits, the same until the machine is installed anew
"""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path

_LABEL = b"hashmatch host v1\0"
_MACHINE_ID = Path("/etc/machine-id")


def host_id(machine_id: Path = _MACHINE_ID) -> str:
    """Half a SHA-256 over /etc/machine-id, which is not to be told as it is (machine-id(5)).

    Where there is none, as in some containers, over the host's name, which others may guess.
    """
    try:
        known = machine_id.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    if not re.fullmatch(r"[0-9a-f]{32}", known):
        known = f"name {socket.gethostname()}"
    return hashlib.sha256(_LABEL + known.encode("utf-8", "surrogateescape")).hexdigest()[:32]
