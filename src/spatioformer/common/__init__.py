"""Shared by all folders: errors, files, progress, colours, constants, the cache."""
