"""Digests of a file against the vectors of RFC 1321 and FIPS 180, and the coreutils programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.hashing.digests import Digester
from hashmatch.model import Digests

# RFC 1321 A.5; FIPS 180-4 examples; the digests of nothing are in all of them.
VECTORS = {
    b"": Digests(
        md5="d41d8cd98f00b204e9800998ecf8427e",
        sha1="da39a3ee5e6b4b0d3255bfef95601890afd80709",
        sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    b"abc": Digests(
        md5="900150983cd24fb0d6963f7d28e17f72",
        sha1="a9993e364706816aba3e25717850c26c9cd0d89d",
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
}


def digests(*chunks: bytes | memoryview) -> Digests:
    digester = Digester()
    for chunk in chunks:
        digester.update(chunk)
    return digester.result()


@pytest.mark.parametrize("data", VECTORS)
def test_digests_are_those_of_the_standards(data: bytes) -> None:
    assert digests(data) == VECTORS[data]


def test_digests_are_those_of_coreutils(tmp_path: Path) -> None:
    file = tmp_path / "clip"
    file.write_bytes(bytes(range(256)) * 4000)
    found = [
        subprocess.check_output([program, file], text=True).split()[0]
        for program in ("md5sum", "sha1sum", "sha256sum")
    ]
    assert digests(file.read_bytes()) == Digests(*found)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_how_a_file_is_cut_into_chunks_does_not_matter(chunks: list[bytes]) -> None:
    assert digests(*map(memoryview, chunks)) == digests(b"".join(chunks))


def test_a_result_can_be_asked_for_on_the_way() -> None:
    digester = Digester()
    assert digester.result() == VECTORS[b""]
    digester.update(b"ab")
    digester.result()
    digester.update(b"c")
    assert digester.result() == VECTORS[b"abc"]
