"""The witness against hidden content, in parts. `scripts/fuzz_media` puts them together."""
