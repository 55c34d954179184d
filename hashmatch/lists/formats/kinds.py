"""What partners call the kinds of hashes: those that hashmatch compares, and those it only knows.

    kind_of("HASH_PDQ")     -> Algorithm.PDQ
    kind_of("photo-dna")    -> "PhotoDNA", which cannot be compared here
    kind_of("crc33")        -> None

A row of a known kind that cannot be compared is no damage: it is left out and counted by its kind.
The digest of a video file is compared like any other digest, so `video_md5` is MD5.
Source of the names: the exchanges of ThreatExchange, NCMEC, StopNCII, Tech Against Terrorism, and
the files of Project VIC and ICSE.
"""

from __future__ import annotations

import re

from hashmatch.model import Algorithm

_DIGESTS = (Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256)
_COMPARED = (
    {name.value: name for name in Algorithm}
    | {f"{before}{name}": name for name in _DIGESTS for before in ("video", "image", "file")}
    | {"imagepdq": Algorithm.PDQ}
)
_KNOWN = {
    name: kind
    for kind, names in {
        "PhotoDNA": ("photodna", "pdna", "imagephotodna", "videophotodna"),
        "SSVH": ("ssvh", "ssvhpdna", "ssvhsaferhash", "tmksaferhash"),
        "SaferHash": ("saferhash", "saferhashv0", "videosaferhashv0"),
        "TMK+PDQF": ("tmk", "tmkpdqf", "videotmk"),
        "NetClean": ("netclean",),
        "Videntifier": ("videntifier",),
        "VideoDNA": ("videodna",),
        "PDQ with OCR": ("pdqocr",),
        "SHA-512": ("sha512", "videosha512", "imagesha512"),
        "text": ("text", "rawtext", "texttlsh", "tlsh", "trendquery", "debugstring"),
        "URL": ("url", "uri", "rawuri", "domain"),
    }.items()
    for name in names
}
# Digits of hashes whose rows name no kind, where the length can be of nothing else.
_BY_LENGTH = {128: "SHA-512", 288: "PhotoDNA"}
_BASE64_OF_144_BYTES = re.compile(r"[0-9A-Za-z+/]{192}")
_NOT_WORD = re.compile(r"[\W_]+")


def kind_of(name: str) -> Algorithm | str | None:
    """The algorithm that a partner's name stands for, or the kind that cannot be compared."""
    bare = _NOT_WORD.sub("", name).lower()
    if bare not in _KNOWN:
        bare = bare.removeprefix("hash")
    return _COMPARED.get(bare) or _KNOWN.get(bare)


def kind_by_length(hash: str) -> str | None:
    """The kind that cannot be compared and that this hash, which names none, must be of."""
    if _BASE64_OF_144_BYTES.fullmatch(hash):
        return "PhotoDNA"
    return _BY_LENGTH.get(len(hash))
