"""Models: estimators that are fitted, the models that they return, and model folders."""
