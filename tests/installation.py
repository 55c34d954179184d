"""A hashmatch of the tests' own: a folder as `hashmatch init` makes it, and the command run in it.

    hashmatch = Installation(tmp_path)
    hashmatch.list_videos("partner", {"v1": clip})
    hashmatch.json("scan")["outcomes"]

Commands run in this process, by their entry point; `apart` and `start` take one of its own, as cron
would. Lists are made with `pdqhash`, which is not our hashing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from copy import copy
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import pdqhash
import pyrage

from hashmatch.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
HASHMATCH = (sys.executable, "-m", "hashmatch")


class Installation:
    def __init__(self, home: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HASHMATCH_RUN__WORKERS": "1",
            **(environment or {}),
        }
        self.custodian = pyrage.x25519.Identity.generate()
        self.break_glass = pyrage.x25519.Identity.generate()
        keys = [str(key.to_public()) for key in (self.custodian, self.break_glass)]
        self.run("init", ".", "--recipient", keys[0], "--recipient", keys[1])

    @property
    def clips(self) -> Path:
        return self.home / "clips"

    @property
    def vault(self) -> Path:
        return self.home / "vault"

    def start(self, *command: str, quiet: bool = False) -> subprocess.Popen[str]:
        """Run a command without waiting for it. quiet: what it says is not wanted."""
        out = subprocess.DEVNULL if quiet else subprocess.PIPE
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [*HASHMATCH, *command],
            cwd=self.home,
            env=self.environment,
            stdout=out,
            stderr=out,
            text=True,
        )

    def run(self, *command: str, code: int | Sequence[int] = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        output, errors, status = io.StringIO(), io.StringIO(), 0
        self.home.mkdir(parents=True, exist_ok=True)
        with (
            chdir(self.home),
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["hashmatch", *command]),
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
        expected = [code] if isinstance(code, int) else list(code)
        said = f"{status}\n{output.getvalue()}\n{errors.getvalue()}"
        assert status in expected, said
        return subprocess.CompletedProcess(command, status, output.getvalue(), errors.getvalue())

    def apart(
        self, *command: str, code: int | Sequence[int] = 0
    ) -> subprocess.CompletedProcess[str]:
        """As `run`, in a process of its own, and without a traceback."""
        with self.start(*command) as process:
            output, errors = process.communicate()
        assert "Traceback" not in errors, errors
        expected = [code] if isinstance(code, int) else list(code)
        assert process.returncode in expected, f"{process.returncode}\n{output}\n{errors}"
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def json(self, *command: str, code: int | Sequence[int] = 0) -> Any:
        return json.loads(self.run(*command, "--json", code=code).stdout)

    def scan(self, *arguments: str, code: int | Sequence[int] = (0, 10)) -> Any:
        return self.json("scan", *arguments, code=code)

    def outcomes(self, run: str = "last") -> dict[str, tuple[str, str | None]]:
        """What a run said: key -> (outcome, reason)."""
        clips = self.json("runs", "show", run)["clips"]
        return {clip["key"]: (clip["outcome"], clip["reason"]) for clip in clips}

    def list_videos(
        self, name: str, videos: Mapping[str, Path], *, activate: bool = True, every: int = 1
    ) -> None:
        """Import videos as a list of that name, one vPDQ file each, and let it act.

        every: list one frame of so many.
        """
        folder = self.home / "lists" / name
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for entry, video in videos.items():
            file = folder / f"{entry}.txt"
            file.write_text("".join(vpdq_lines(video)[::every]))
            files.append(str(file))
        said = self.run("lists", "import", name, *files, "--format", "vpdq").stderr
        if activate:  # with the command that it tells
            self.run(*said.rpartition(": hashmatch ")[2].split())

    def sealed(self) -> dict[str, bytes]:
        """The clips in the vault, opened with the custodian's key."""
        objects = {file.name: file.read_bytes() for file in self.vault.rglob("*.age")}
        return self.unseal(objects)

    def unseal(self, objects: Mapping[str, bytes]) -> dict[str, bytes]:
        """The clips among a vault's objects: the custodian's key opens the one that opens each."""
        clips = {}
        for name, sealed in objects.items():
            if not name.endswith(".age") or name.endswith((".key.age", ".manifest.age")):
                continue
            key = pyrage.decrypt(objects[name.removesuffix(".age") + ".key.age"], [self.custodian])
            clips[name] = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(key.decode())])
        return clips

    def copied(self, home: Path) -> Installation:
        """The same installation in another folder, with all that is in it now."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        twin = copy(self)
        twin.home, twin.environment = home, dict(self.environment)
        return twin


def vpdq_lines(video: Path) -> list[str]:
    """Every frame of a video as vPDQ writes it, hashed by the reference package."""
    lines = []
    with av.open(str(video)) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            bits, quality = pdqhash.compute(frame.to_ndarray(format="rgb24", threads=1))
            text = np.packbits(np.asarray(bits, np.uint8)).tobytes().hex()
            lines.append(f"{number},{quality},{text},{frame.time or 0:.3f}\n")
    return lines
