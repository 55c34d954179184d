"""Pixels to bits. Pure: no files, no clock, no database.

`pdq` and `imagehashes` hash one picture, `digests` a whole file; `recipes` names how it was done,
`packing` turns what came out into bytes and back, `selftest` shows that this machine hashes right.
Only `pdq` (with `kernels` and `reference`) and `selftest` load numba, only `imagehashes` loads Pillow.
"""
