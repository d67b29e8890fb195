"""The configuration of a run: its schema, reading it from YAML, and the catalogue of models."""
