"""Darwin Core archives and GBIF downloads.

`metafile` says what the files are, `metadata` whose they are. `events` and `occurrences` read the
two kinds of core, `listing` the names, `visits` the terms of a visit, `archive` the whole.
"""
