"""The version of the package; below everything, so that stages do not depend on the door."""

__version__ = "0.1.0"
