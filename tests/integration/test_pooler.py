"""PostgreSQL behind the real PgBouncer: refused by name, as no lock of a session holds there."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_server import PASSWORD, PostgresServer, _free_port

from hashmatch.db.session import Database
from hashmatch.errors import DatabaseError


@pytest.fixture(params=["transaction", "session"])
def pooled(
    request, postgres: PostgresServer, postgres_template: str, tmp_path_factory
) -> Iterator[str]:
    """The URL of a database through a PgBouncer that pools so."""
    program = shutil.which("pgbouncer")
    if program is None:
        message = "PgBouncer is not installed (apt-get install pgbouncer)"
        if os.environ.get("HASHMATCH_REQUIRE_POSTGRES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    folder: Path = Path("/tmp") / f"hashmatch-pgb-{os.getpid()}-{request.param}"
    folder.mkdir(mode=0o755)
    port, name = _free_port(), postgres.create(postgres_template)
    (folder / "users").write_text(f'"postgres" "{PASSWORD}"\n')
    (folder / "ini").write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\nunix_socket_dir =\n"
        f"auth_file = {folder}/users\npool_mode = {request.param}\n"
    )
    account = {"user": pwd.getpwnam("postgres").pw_uid} if os.geteuid() == 0 else {}
    process = subprocess.Popen([program, "-q", str(folder / "ini")], **account)
    url = postgres.url(name).replace(f":{postgres.port}/", f":{port}/")
    try:
        for _ in range(100):
            try:
                psycopg.connect(url, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
        postgres.drop(name)


def test_promise_2_a_pooler_is_refused_by_name_before_anything_is_done(pooled, tmp_path):
    db = Database.connect(pooled, tmp_path)
    for act in (db.upgrade, db.check_revision, lambda: db.run_lock().__enter__()):
        with pytest.raises(DatabaseError, match="PgBouncer") as caught:
            act()
        assert PASSWORD not in str(caught.value)
        assert caught.value.exit_code == 16
    db.close()
