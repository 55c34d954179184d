"""The process that is killed, from the side of the test. See custody_driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from custody_parts import Scene


class Driver:
    def __init__(self) -> None:
        program = Path(__file__).with_name("custody_driver.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(program.parents[2])},
        )

    def run(self, scene: Scene, home: Path, url: str, kill_at: int, **more: Any) -> int:
        """0 when it ended by itself before that point, else minus the signal.

        more: `act` ("take", the default, which also ends what was begun, or "release" with `case`
        and `key`); `clips` and `vault` as storage settings, if they are not folders in `home`.
        """
        request = {
            "act": "take",
            "clips": {"url": str(home / "clips")},
            "vault": {"url": str(home / "vault")},
            **more,
            "home": str(home),
            "database": url,
            "recipients": [key.public for key in scene.keys],
            "kill_at": kill_at,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["status"]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
