"""The recall harness, in parts. `scripts/bench_recall` puts them together."""
