"""Scores, folds, applicability and intervals: numpy in, numpy out; no torch, no files."""
