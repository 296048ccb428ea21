"""unblind: the reproducibility package of *Don't Blind Your VLA* (arXiv 2510.25616)."""
