"""What the tests of faults share: an installation that was set up once, to be copied."""

from __future__ import annotations

import pytest
from drawn import write_clip
from installation import Installation

SIZE = {"width": 192, "height": 144}
LISTED_SEED = 99


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Folders and SQLite, no clips, one active list with the scene of LISTED_SEED. Do not scan it."""
    installed = Installation(
        tmp_path_factory.mktemp("template"), environment={"HASHMATCH_RUN__RETRY_MINUTES": "0"}
    )
    listed = installed.home / "listed.mp4"
    write_clip(listed, seed=LISTED_SEED, seconds=2, **SIZE)
    installed.list_videos("partner", {"v1": listed})
    return installed
