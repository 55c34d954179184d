"""What a file is, by its first bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.media.probe import STILL, VIDEO, Kind, sniff
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason

TS = b"\x47\x40\x00\x10" + bytes(184)

KNOWN = [
    (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", Kind.VIDEO, "mov"),
    (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", Kind.VIDEO, "mov"),
    (b"\0\0\0\x08wide\0\0\0\0mdat", Kind.VIDEO, "mov"),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", Kind.VIDEO, "matroska"),
    (b"FLV\x01\x05\0\0\0\x09", Kind.VIDEO, "flv"),
    (b"RIFF\0\0\1\0AVI LIST", Kind.VIDEO, "avi"),
    (TS * 5, Kind.VIDEO, "mpegts"),
    (bytes(100) + TS * 6, Kind.VIDEO, "mpegts"),
    ((bytes(4) + TS) * 6, Kind.VIDEO, "mpegts"),
    (TS * 2, Kind.VIDEO, "mpegts"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind.STILL, "PNG"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind.STILL, "JPEG"),
    (b"GIF89a\x01\0\x01\0", Kind.STILL, "GIF"),
    (b"RIFF\0\0\1\0WEBPVP8 ", Kind.STILL, "WEBP"),
    (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", Kind.STILL, "AVIF"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Kind.STILL, "AVIF"),
]

PLAYLISTS = [
    b"#EXTM3U\n#EXTINF:1,\nhttp://192.0.2.1/secret\n",
    b"\xef\xbb\xbf#EXTM3U\n",
    b"\n \n#EXTM3U\n",
    "\ufeff#EXTM3U\n".encode("utf-16"),
    b"#EXT-X-VERSION:3\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"file '/etc/passwd'\n",
    b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    b"<MPD type='static'>",
    b'<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2">',
    b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\n",
    b"[playlist]\nFile1=http://192.0.2.1/\n",
    b"[Reference]\nRef1=http://192.0.2.1/\n",
    b"<asx version='3.0'><entry/></asx>",
    b"http://192.0.2.1/live.m3u8\n",
]

OTHERS = [
    (b"", Reason.EMPTY_FILE),
    (b"\0", Reason.NOT_MEDIA),
    (b"Dear all,\n", Reason.NOT_MEDIA),
    (b"PK\x03\x04", Reason.NOT_MEDIA),
    (b"<!doctype html>", Reason.NOT_MEDIA),
    (b'<?xml version="1.0"?><svg/>', Reason.NOT_MEDIA),
    (b"\x7fELF", Reason.NOT_MEDIA),
    (b"\0\0\1\xba" + bytes(60), Reason.NOT_MEDIA),
    (TS * 4 + bytes(200), Reason.NOT_MEDIA),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Reason.UNSUPPORTED_CODEC),
]


@pytest.mark.parametrize(("head", "kind", "name"), KNOWN)
def test_a_format_is_known_by_its_content(head: bytes, kind: Kind, name: str) -> None:
    assert sniff(io.BytesIO(head)) == (kind, name)


@pytest.mark.parametrize("head", PLAYLISTS)
def test_a_playlist_is_refused_as_a_playlist(head: bytes) -> None:
    with pytest.raises(Unseeable) as refused:
        sniff(io.BytesIO(head))
    assert refused.value.reason is Reason.PLAYLIST


@pytest.mark.parametrize(("head", "reason"), OTHERS)
def test_everything_else_is_refused_with_its_reason(head: bytes, reason: Reason) -> None:
    with pytest.raises(Unseeable) as refused:
        sniff(io.BytesIO(head))
    assert refused.value.reason is reason


@given(st.binary(max_size=600))
def test_any_bytes_are_a_known_format_or_refused(head: bytes) -> None:
    try:
        found = sniff(io.BytesIO(head))
    except Unseeable:
        return
    assert found.name in (VIDEO if found.kind is Kind.VIDEO else STILL)


@given(st.text(max_size=300))
def test_text_is_never_taken_for_video(text: str) -> None:
    # FLV is the one format whose signature can be typed; GIF is a picture.
    if text.startswith(("FLV\x01", "GIF8")):
        return
    with pytest.raises(Unseeable):
        sniff(io.BytesIO(text.encode("utf-8", "replace")))


def test_sniffing_leaves_the_file_at_its_start() -> None:
    file = io.BytesIO(b"FLV\x01\x05\0\0\0\x09")
    sniff(file)
    assert file.tell() == 0


def test_the_refusal_says_what_to_do_and_survives_a_process_boundary() -> None:
    import pickle

    refused = Unseeable(Reason.PLAYLIST, "text that names other files or hosts")
    copy = pickle.loads(pickle.dumps(refused))
    assert copy.reason is Reason.PLAYLIST
    assert str(copy) == str(refused)
    assert Reason.PLAYLIST.text in str(copy)
