"""The configuration of a run: what it may say, how it is read, and which models there are."""
