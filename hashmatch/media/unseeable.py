"""The one error of this package: nothing of a clip can be seen."""

from __future__ import annotations

from typing import ClassVar

from hashmatch.errors import HashmatchError
from hashmatch.model import Reason


class Unseeable(HashmatchError):
    message = "No frame can be read: {reason.text} ({detail})."
    remedy = "The clip's outcome is `unscannable`. Nothing is known of what it shows."
    exit_code: ClassVar[int] = 23

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason=reason, detail=detail)
        self.reason = reason
        self.detail = detail
