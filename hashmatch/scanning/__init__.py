"""One clip in, one outcome out. Knows no database, so it runs on any machine that has clips and lists."""
