"""Where records live: an append-only, hash-chained journal in SQLite, one writer, any number of readers."""
