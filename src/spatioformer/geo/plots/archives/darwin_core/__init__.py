"""Darwin Core archives: `metafile` (what the files are), `metadata` (whose they are), `events` and
`occurrences` (the two kinds of core), `extensions` (Humboldt, measurements), `archive` (all)."""
