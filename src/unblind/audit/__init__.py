"""Verdicts on the published claims, from records already made."""
