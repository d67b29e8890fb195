"""The models of a run: how each is fitted, predicts, and is kept as a folder."""
