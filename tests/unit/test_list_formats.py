"""What partners send, in every form and in every way of being malformed."""

from __future__ import annotations

import codecs
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lists_parts import BRIDGE, COLUMNS, MD5, SHA1, SHA256, pdq_hash

from hashmatch.errors import ListError
from hashmatch.freetext import hashlike
from hashmatch.lists.formats import (
    FileEmpty,
    FileTruncated,
    Format,
    FormatUnknown,
    Reading,
    Rejected,
    Row,
    SameName,
    detect,
    files,
)
from hashmatch.lists.formats.csv_table import HeaderWrong
from hashmatch.lists.formats.json_document import JsonDocument, VicsDocument
from hashmatch.lists.formats.rows import Fault
from hashmatch.lists.formats.text import ListUnreadable
from hashmatch.model import Algorithm, Media

HEADER = "entry_id,algorithm,hash\n"
EMPTY_DIGESTS = {
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}
DHASH = "3c7e66c3db991824"


def read(
    folder: Path,
    content: str | bytes,
    format: Format | None = Format.CSV,
    *,
    name: str = "list",
    **how: object,
) -> list[Row | Rejected]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if format is None:
        format = detect([path])
    return [row for file in files([path], Reading(format, **how)) for row in file]


def faults(rows: list[Row | Rejected]) -> list[tuple[int, Fault]]:
    return [(row.line, row.fault) for row in rows if isinstance(row, Rejected)]


def usable(rows: list[Row | Rejected]) -> list[Row]:
    assert faults(rows) == []
    return [row for row in rows if isinstance(row, Row)]


# --- the four formats


def test_a_csv_row_has_all_its_columns(tmp_path):
    content = (
        "entry_id,algorithm,hash,media,group,timestamp,quality,classification\n"
        f"frame-3,pdq,{BRIDGE},video,vid-9,1.5,97,A1\n"
    )
    assert usable(read(tmp_path, content)) == [
        Row(
            2,
            "frame-3",
            Algorithm.PDQ,
            bytes.fromhex(BRIDGE),
            Media.VIDEO,
            "vid-9",
            1.5,
            97,
            "A1",
        )
    ]


def test_headers_are_compared_without_case_spaces_and_hyphens(tmp_path):
    row = usable(read(tmp_path, f"Entry ID,ALGORITHM, Hash \na,PDQ,{BRIDGE}\n"))[0]
    assert (row.id, row.algorithm) == ("a", Algorithm.PDQ)


def test_a_partners_own_headers_can_be_mapped(tmp_path):
    content = f"Asset,Fingerprint,Hash\nx-1,{BRIDGE},not ours\n"
    columns = {"asset": "entry_id", "Fingerprint": "hash"}
    row = usable(read(tmp_path, content, columns=columns, algorithm=Algorithm.PDQ))[0]
    assert (row.id, row.bits.hex(), row.extra) == ("x-1", BRIDGE, {"Hash": "not ours"})


def test_unknown_columns_are_kept(tmp_path):
    row = usable(read(tmp_path, f"entry_id,hash,Case No,empty\na,{MD5},17,\n"))[0]
    assert row.extra == {"Case No": "17"}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_separator_is_found(tmp_path, mark):
    content = mark.join(("entry_id", "hash")) + "\n" + mark.join(("a", MD5)) + "\n"
    assert usable(read(tmp_path, content))[0].id == "a"


def test_a_quoted_field_may_hold_the_separator(tmp_path):
    row = usable(read(tmp_path, f'entry_id,hash,note\na,{MD5},"this, that and ""those"""\n'))[0]
    assert row.extra == {"note": 'this, that and "those"'}


def test_a_stray_quote_loses_only_its_own_row(tmp_path):
    ids = ["a", '"b', "c", '"d"']
    lines = [f"{id},pdq,{pdq_hash(i)}\n" for i, id in enumerate(ids)]
    rows = read(tmp_path, HEADER + "".join(lines))
    assert faults(rows) == [(3, Fault.QUOTE)]
    assert [row.id for row in rows if isinstance(row, Row)] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("entry_id,algorithm", "no hash column"),
        ("hash,Hash", "more than one column is hash"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path, header, problem):
    with pytest.raises(HeaderWrong, match=problem):
        read(tmp_path, f"{header}\na,b\n")


def test_a_mapped_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(HeaderWrong, match="becomes entry_id"):
        read(tmp_path, f"hash\n{MD5}\n", columns={"Asset": "entry_id"})


def test_hash_lines_have_a_type_or_a_length_that_tells_it(tmp_path):
    content = f"# of the partner\n{MD5}\n{SHA1}\n\n{BRIDGE}\nsha256 {SHA256}\nDHash {DHASH}\n"
    rows = usable(read(tmp_path, content, Format.LINES))
    assert [(row.line, row.algorithm, row.assumed) for row in rows] == [
        (2, Algorithm.MD5, False),
        (3, Algorithm.SHA1, False),
        (5, Algorithm.PDQ, True),
        (6, Algorithm.SHA256, False),
        (7, Algorithm.DHASH, False),
    ]


def test_the_algorithm_of_untyped_hashes_can_be_said(tmp_path):
    row = usable(read(tmp_path, f"{SHA256}\n", Format.LINES, algorithm=Algorithm.SHA256))[0]
    assert (row.algorithm, row.assumed) == (Algorithm.SHA256, False)


def test_sixteen_digits_could_be_three_hashes_and_are_not_guessed(tmp_path):
    rows = read(tmp_path, f"{MD5}\n{DHASH}\n", Format.LINES)
    assert faults(rows) == [(2, Fault.NO_ALGORITHM)]


def test_json_lines_have_numbers_and_unknown_fields(tmp_path):
    fields = {
        "Entry-ID": 17,
        "algorithm": "pdq",
        "hash": BRIDGE,
        "group": "vid",
        "timestamp": 2,
        "quality": 100,
        "classification": None,
        "tags": ["a", 1],
    }
    row = usable(read(tmp_path, json.dumps(fields) + "\n", Format.JSON))[0]
    assert (row.id, row.group, row.timestamp, row.quality) == ("17", "vid", 2.0, 100)
    assert row.extra == {"tags": '["a", 1]'}


@pytest.mark.parametrize(
    "line",
    ["[1]", "null", "{", '{"hash": ', "[" * 50_000, "9" * 5000, '{"a": NaN'],
)
def test_a_line_that_is_no_json_object_is_rejected(tmp_path, line):
    good = json.dumps({"hash": MD5})
    assert faults(read(tmp_path, f"{good}\n{line}\n{good}\n", Format.JSON)) == [(2, Fault.NOT_JSON)]


@pytest.mark.parametrize("note", ["\\u0000", "\\ud800"])
def test_text_that_no_database_takes_is_rejected(tmp_path, note):
    content = f'{{"hash": "{MD5}", "note": "{note}"}}\n'
    assert faults(read(tmp_path, content, Format.JSON)) == [(1, Fault.TEXT)]


def test_the_reference_tools_files_are_videos_named_after_their_file(media):
    """All 14 files of Meta's reference implementation, each frame of them."""
    paths = sorted((media / "video-hashes").glob("*.txt"))
    assert detect(paths) is Format.VPDQ
    for path, file in zip(paths, files(paths, Reading(Format.VPDQ)), strict=True):
        rows = usable(list(file))
        expected = [line.split(",") for line in path.read_text().splitlines()]
        assert [(row.quality, row.bits.hex(), row.timestamp) for row in rows] == [
            (int(quality), digits, float(seconds)) for _, quality, digits, seconds in expected
        ]
        assert {row.group for row in rows} == {path.stem}


def test_all_reference_hashes_of_pictures_are_taken(media):
    lines = (media / "index" / "haystack.txt").read_text()
    assert lines.count("\n") > 1000
    for line in lines.splitlines():
        assert len(bytes.fromhex(line)) == 32
    path = media / "index" / "haystack.txt"
    (file,) = files([path], Reading(Format.LINES))
    assert len(usable(list(file))) == len(lines.splitlines())


def test_two_videos_of_one_name_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "a" / "v.txt", tmp_path / "b" / "v.txt"]
    with pytest.raises(SameName):
        list(files(paths, Reading(Format.VPDQ)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"entry_id;hash\na;{MD5}\n", Format.CSV),
        (f"# a comment\n\nhash\n{MD5}\n", Format.CSV),
        (f"{MD5}\n", Format.LINES),
        (f"pdq {BRIDGE}\n", Format.LINES),
        (f'{{"hash": "{MD5}"}}\n', Format.JSON),
        (f"0,100,{BRIDGE},0.000\n", Format.VPDQ),
        (f"spoilt first line\n0,100,{BRIDGE},0.000\n", Format.VPDQ),
    ],
)
def test_the_format_is_told_from_the_first_lines(tmp_path, content, expected):
    path = tmp_path / "list"
    path.write_text(content)
    assert detect([path]) is expected


def test_a_format_nobody_knows_is_refused(tmp_path):
    with pytest.raises(FormatUnknown):
        read(tmp_path, "id,md5,sha1\n1,2,3\n", None)


# --- encodings and line ends


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.replace("\n", "\r\n").encode("utf-16-be"),
    ],
    ids=["utf-8", "mark", "crlf", "mark and crlf", "utf-16", "utf-16 be and crlf"],
)
@pytest.mark.parametrize("format", [Format.CSV, None])
def test_marks_line_ends_and_utf16_change_nothing(tmp_path, encode, format):
    content = f"entry_id,hash,note\nförst,{MD5},日本\nb,{SHA1},\n"
    rows = usable(read(tmp_path, encode(content), format))
    assert [(row.line, row.id) for row in rows] == [(2, "först"), (3, "b")]
    assert rows[0].extra == {"note": "日本"}


def test_undecodable_bytes_name_their_line_and_say_what_to_do(tmp_path):
    content = (HEADER + "".join(f"id-{i},pdq,{pdq_hash(i)}\n" for i in range(9000))).encode()
    content += f"Zoë,md5,{MD5}\n".encode("latin-1") + b"more\n"
    with pytest.raises(ListUnreadable, match="line 9002 cannot be decoded as utf-8") as caught:
        read(tmp_path, content)
    assert "UTF-8" in caught.value.remedy


def test_bad_utf16_names_its_line(tmp_path):
    content = f"hash\n{MD5}\n".encode("utf-16") + b"\x00\xd8\x00\x00"
    with pytest.raises(ListUnreadable, match="line 3 cannot be decoded"):
        read(tmp_path, content)


def test_utf16_without_its_mark_is_refused(tmp_path):
    with pytest.raises(ListUnreadable, match="line 1 has NUL"):
        read(tmp_path, f"hash\n{MD5}\n".encode("utf-16-le"))


def test_line_ends_of_old_macs_are_refused(tmp_path):
    with pytest.raises(ListUnreadable, match="line 1 has a carriage return"):
        read(tmp_path, f"hash\r{MD5}\r")


def test_a_file_without_line_ends_is_not_read_into_memory(tmp_path):
    with pytest.raises(ListUnreadable, match="line 1 is longer"):
        read(tmp_path, b"x" * 3_000_000)


def test_a_file_that_is_not_there_is_a_list_error(tmp_path):
    with pytest.raises(ListUnreadable, match="No such file"):
        detect([tmp_path / "missing.csv"])


# --- empty and cut short


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " \n"])
def test_an_empty_file_is_refused(tmp_path, format, content):
    with pytest.raises(FileEmpty):
        read(tmp_path, content, format)


def test_an_empty_file_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(FileEmpty):
        read(tmp_path, "", None)


@pytest.mark.parametrize("content", [HEADER, HEADER + "\n,,\n", HEADER.strip()])
def test_a_header_alone_is_an_empty_list(tmp_path, content):
    with pytest.raises(FileEmpty):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (f"{HEADER}a,pdq,{BRIDGE}\nb,pdq,{pdq_hash(1)[:40]}", Format.CSV),
        (f"{HEADER}a,pdq,{BRIDGE}\nb,p", Format.CSV),
        (f"{MD5}\n{SHA1[:-1]}", Format.LINES),
        (f'{{"hash": "{MD5}"}}\n{{"hash": "{SHA1}"', Format.JSON),
        (f"0,100,{BRIDGE},0.000\n1,100,{BRIDGE}", Format.VPDQ),
    ],
)
def test_a_last_line_that_breaks_off_refuses_the_file(tmp_path, content, format):
    with pytest.raises(FileTruncated, match=r"line [23]"):
        read(tmp_path, content, format)


def test_a_whole_last_line_may_lack_its_line_end(tmp_path):
    path = tmp_path / "list"
    path.write_text(f"{MD5}\n{SHA1}")
    (file,) = files([path], Reading(Format.LINES))
    assert len(usable(list(file))) == 2
    assert not file.complete


VICS = {
    "@odata.context": "http://example.org/ProjectVic/DataModels/1.3.xml/US/$metadata#Media",
    "value": [{"MediaID": i, "Category": 1, "MD5": MD5.upper(), "SHA1": SHA1} for i in range(40)],
}
DOCUMENTS = {
    "indented": (json.dumps(VICS, indent=1), VicsDocument),
    "in one line": (json.dumps(VICS), VicsDocument),
    "with a mark": ("\ufeff" + json.dumps(VICS, indent=2) + "\r\n", VicsDocument),
    "an array": (json.dumps(VICS["value"], indent=1), VicsDocument),
    "an array in one line": (json.dumps(VICS["value"]), VicsDocument),
    "a row a line in it": (
        "{" + '"value": [\n' + ",\n".join(map(json.dumps, VICS["value"])) + "\n]}",
        VicsDocument,
    ),
    "others": (json.dumps([{"hash": MD5}, {"hash": SHA1}], indent=1), JsonDocument),
    "an object": (json.dumps({"list": [{"hash": MD5}]}, indent=1), JsonDocument),
}


@pytest.mark.parametrize(("content", "error"), DOCUMENTS.values(), ids=list(DOCUMENTS))
@pytest.mark.parametrize("format", [Format.JSON, None])
def test_a_whole_json_document_is_no_list_that_was_cut_short(tmp_path, content, error, format):
    with pytest.raises(error) as caught:
        read(tmp_path, content, format)
    assert "cut short" not in caught.value.message
    with pytest.raises(error, match="cut short"):
        read(tmp_path, content[: len(content) * 2 // 3], format)


def test_json_lines_of_vics_rows_are_a_list(tmp_path):
    content = "".join(f"{json.dumps(media)}\n" for media in VICS["value"])
    columns = {"MD5": "hash", "MediaID": "entry_id"}
    assert len(usable(read(tmp_path, content, Format.JSON, columns=columns))) == 40


# --- row by row


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"hash": ""}, Fault.NO_HASH),
        ({"hash": BRIDGE[:-1]}, Fault.LENGTH),
        ({"hash": BRIDGE + "00"}, Fault.LENGTH),
        ({"algorithm": "md5"}, Fault.LENGTH),
        ({"hash": "g" + BRIDGE[1:]}, Fault.NOT_HEX),
        ({"hash": "  ".join((BRIDGE[:31], BRIDGE[33:]))}, Fault.NOT_HEX),
        ({"hash": "٣" + BRIDGE[1:]}, Fault.NOT_HEX),
        ({"algorithm": "crc32"}, Fault.UNKNOWN_ALGORITHM),
        ({"algorithm": "", "hash": DHASH}, Fault.NO_ALGORITHM),
        ({"media": "audio"}, Fault.MEDIA),
        ({"media": "file"}, Fault.CONTRADICTION),
        ({"media": "image", "group": "v"}, Fault.CONTRADICTION),
        ({"media": "video", "entry_id": ""}, Fault.CONTRADICTION),
        ({"timestamp": "soon"}, Fault.TIMESTAMP),
        ({"timestamp": "-1"}, Fault.TIMESTAMP),
        ({"timestamp": "nan"}, Fault.TIMESTAMP),
        ({"timestamp": "1e3"}, Fault.TIMESTAMP),
        ({"timestamp": "99999999"}, Fault.TIMESTAMP),
        ({"quality": "101"}, Fault.QUALITY),
        ({"quality": "-1"}, Fault.QUALITY),
        ({"quality": "9.5"}, Fault.QUALITY),
        ({"entry_id": "a" * 201}, Fault.ID),
        ({"entry_id": "a\x1b[31m"}, Fault.ID),
        ({"group": "a\u202eb"}, Fault.ID),
        ({"classification": "x" * 201}, Fault.CLASSIFICATION),
        ({"classification": f"see {MD5}"}, Fault.CLASSIFICATION),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_line(tmp_path, row, fault):
    fields = {"entry_id": "b", "algorithm": "pdq", "hash": BRIDGE, **row}
    content = ",".join(COLUMNS) + f"\na,md5,{MD5},,,,,\n"
    content += ",".join(fields.get(column, "") for column in COLUMNS) + "\n"
    assert faults(read(tmp_path, content)) == [(3, fault)]


@pytest.mark.parametrize("columns", ["b,md5", f"b,md5,{SHA1},extra", "b"])
def test_a_row_with_more_or_fewer_columns_is_rejected(tmp_path, columns):
    assert faults(read(tmp_path, f"{HEADER}a,md5,{MD5}\n{columns}\n")) == [(3, Fault.COLUMNS)]


@pytest.mark.parametrize(
    "digits",
    [
        "0" * 64,
        "f" * 64,
        "5a" * 32,
        "1234" * 16,
        "0123456789abcdef" * 4,
        f"{2**31 - 1:064x}",
        f"{2**256 - 2**31:064x}",
    ],
)
def test_a_pdq_hash_that_is_nearly_constant_is_rejected(tmp_path, digits):
    assert faults(read(tmp_path, f"{HEADER}a,md5,{MD5}\nb,pdq,{digits}\n")) == [(3, Fault.CONSTANT)]


def test_a_pdq_hash_far_enough_from_constant_is_taken(tmp_path):
    usable(read(tmp_path, f"{HEADER}a,pdq,{2**32 - 1 << 77:064x}\nb,pdq,{2**224 - 1 << 9:064x}\n"))


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "dhash", "phash"])
def test_constant_hashes_of_every_kind_are_rejected(tmp_path, algorithm):
    size = Algorithm(algorithm).bits // 8
    rows = "".join(f"id-{b},{algorithm},{f'{b:02x}' * size}\n" for b in (0, 255, 0x81))
    assert [fault for _, fault in faults(read(tmp_path, HEADER + rows))] == [Fault.CONSTANT] * 3


@pytest.mark.parametrize("algorithm", EMPTY_DIGESTS)
def test_the_digest_of_an_empty_file_is_rejected(tmp_path, algorithm):
    content = f"{HEADER}a,md5,{MD5}\nb,{algorithm},{EMPTY_DIGESTS[algorithm].upper()}\n"
    assert faults(read(tmp_path, content)) == [(3, Fault.EMPTY_FILE)]


@pytest.mark.parametrize(
    ("name", "digits", "algorithm"),
    [
        ("HASH_PDQ", BRIDGE, Algorithm.PDQ),
        ("ImagePDQ", BRIDGE, Algorithm.PDQ),
        ("video_md5", MD5, Algorithm.MD5),
        ("HASH_VIDEO_MD5", MD5, Algorithm.MD5),
        ("VideoMD5", MD5, Algorithm.MD5),
        ("hash-sha1", SHA1, Algorithm.SHA1),
        ("HASH_VIDEO_SHA256", SHA256, Algorithm.SHA256),
    ],
)
@pytest.mark.parametrize("format", [Format.LINES, Format.JSON, Format.CSV])
def test_partners_names_of_what_can_be_compared_are_known(
    tmp_path, name, digits, algorithm, format
):
    content = {
        Format.LINES: f"{name} {digits}\n",
        Format.JSON: json.dumps({"algorithm": name, "hash": digits}) + "\n",
        Format.CSV: f"algorithm,hash\n{name},{digits}\n",
    }[format]
    (row,) = usable(read(tmp_path, content, None))
    assert (row.algorithm, row.bits.hex()) == (algorithm, digits)


@pytest.mark.parametrize(
    ("name", "hash", "kind"),
    [
        ("photodna", "a1" * 144, "PhotoDNA"),
        ("PDNA", "+/Ab" * 48, "PhotoDNA"),
        ("Photo-DNA", "1,2,3", "PhotoDNA"),
        ("", "b2" * 144, "PhotoDNA"),
        ("", "+/Ab" * 48, "PhotoDNA"),
        ("", "c3" * 64, "SHA-512"),
        ("SSVH_PDNA", "", "SSVH"),
        ("HASH_TMK", "x", "TMK+PDQF"),
        ("HASH_PDQ_OCR", BRIDGE, "PDQ with OCR"),
        ("URI", "https://example.org/", "URL"),
    ],
)
def test_kinds_that_cannot_be_compared_are_known_and_no_damage(tmp_path, name, hash, kind):
    content = f'algorithm,hash\nmd5,{MD5}\n{name},"{hash}"'
    _, row = read(tmp_path, content)
    assert row == Rejected(3, Fault.INCOMPARABLE, kind=kind)
    assert row.fault.harmless


def test_upper_case_digits_are_the_same_hash(tmp_path):
    rows = usable(read(tmp_path, f"{HEADER}a,SHA-256,{SHA256.upper()}\nb,sha_1,{SHA1.upper()}\n"))
    assert [row.bits.hex() for row in rows] == [SHA256, SHA1]


def test_a_featureless_frame_of_a_video_is_left_out_and_not_held_against_it(tmp_path):
    content = f"0,0,{'0' * 64},0.000\n1,100,{BRIDGE},0.033\n"
    rows = read(tmp_path, content, Format.VPDQ, name="vid.txt")
    assert rows[0] == Rejected(1, Fault.FEATURELESS_FRAME, "vid")
    assert Fault.FEATURELESS_FRAME.harmless
    assert rows[1].timestamp == 0.033


def test_the_rows_of_a_video_without_a_group_share_their_id(tmp_path):
    content = f"entry_id,hash,media,timestamp\nv,{BRIDGE},video,0.5\n"
    row = usable(read(tmp_path, content))[0]
    assert (row.group, row.timestamp) == ("v", 0.5)


def test_an_image_has_no_timestamp(tmp_path):
    content = f"entry_id,hash,media,timestamp\nv,{BRIDGE},image,0\n"
    assert usable(read(tmp_path, content))[0].timestamp is None


def test_a_file_named_after_a_hash_is_not_named(tmp_path):
    with pytest.raises(FileEmpty) as caught:
        read(tmp_path, "", Format.VPDQ, name=f"{MD5}.txt")
    assert MD5 not in str(caught.value)
    assert "file 1" in str(caught.value)


# --- whatever comes


def _said(error: ListError) -> str:
    return f"{error.message} {error.remedy} {error!r} {error.__cause__!r} {error.__context__!r}"


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    content=st.one_of(
        st.binary(max_size=400),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text(max_size=300).map(lambda text: text.encode("utf-16", "surrogatepass")),
        st.lists(st.sampled_from([",", "\n", '"', "{", "}", ":", "hash", "pdq ", MD5, BRIDGE, "0"]))
        .map("".join)
        .map(str.encode),
    ),
    format=st.sampled_from([None, *Format]),
)
def test_whatever_the_bytes_are_reading_ends_in_rows_or_a_list_error(tmp_path, content, format):
    rows: list[Row | Rejected] = []
    said = ""
    try:
        rows = read(tmp_path, content, format)
    except ListError as error:
        said = _said(error)
    assert not hashlike(said)
    for row in rows:
        assert isinstance(row, Rejected) or len(row.bits) * 8 == row.algorithm.bits


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), format=st.sampled_from(list(Format)), data=st.data())
def test_no_message_repeats_a_hash_of_a_spoilt_file(tmp_path, seed, format, data):
    """A good file with some of its bytes changed, in any format."""
    hashes = [pdq_hash(seed + i) for i in range(4)]
    makers = {
        Format.CSV: lambda i, h: f"id-{i},pdq,{h}",
        Format.LINES: lambda _, h: f"pdq {h}",
        Format.JSON: lambda i, h: json.dumps({"entry_id": i, "hash": h}),
        Format.VPDQ: lambda i, h: f"{i},100,{h},{i}.0",
    }
    text = "\n".join(makers[format](i, digits) for i, digits in enumerate(hashes)) + "\n"
    content = bytearray((HEADER if format is Format.CSV else "").encode() + text.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        rows = read(tmp_path, bytes(content), format)
    except ListError as error:
        said = _said(error)
    else:
        said = " ".join(row.fault.value for row in rows if isinstance(row, Rejected))
    assert not any(digits[i : i + 16] in said for digits in hashes for i in range(0, 64, 16))


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30
).filter(lambda text: not text.startswith("#"))
records = st.fixed_dictionaries(
    {
        "entry_id": texts,
        "algorithm": st.sampled_from([name.value for name in Algorithm]),
        "seed": st.integers(0, 2**32),
        "classification": st.none() | texts.filter(lambda text: not hashlike(text)),
        "quality": st.none() | st.integers(0, 100),
        "note": st.none() | texts,
    }
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(records, min_size=1, max_size=8), format=st.sampled_from(["csv", "jsonl"]))
def test_what_was_written_is_what_is_read(tmp_path, rows, format):
    names = ("entry_id", "algorithm", "hash", "classification", "quality", "note")
    for row in rows:
        bits = [True, False] * (Algorithm(row["algorithm"]).bits // 2)
        random.Random(row.pop("seed")).shuffle(bits)
        row["hash"] = f"{int(''.join('01'[bit] for bit in bits), 2):0{len(bits) // 4}x}"
    if format == "csv":
        lines = [",".join(names)]
        for row in rows:
            cells = ["" if row[name] is None else str(row[name]) for name in names]
            lines.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells))
    else:
        lines = [json.dumps(row) for row in rows]
    back = usable(read(tmp_path, "\n".join(lines) + "\n", Format(format)))
    assert [
        (row.id, row.algorithm, row.bits.hex(), row.classification, row.quality, row.extra)
        for row in back
    ] == [
        (
            row["entry_id"],
            row["algorithm"],
            row["hash"],
            row["classification"],
            row["quality"],
            None if row["note"] is None else {"note": row["note"]},
        )
        for row in rows
    ]
