"""unblind: the reproducibility package of *Don't Blind Your VLA* (arXiv 2510.25616)."""

__version__ = "0.1.0"
