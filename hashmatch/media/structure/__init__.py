"""Where in a file what lies, told from each format's own markers and without decoding anything."""
