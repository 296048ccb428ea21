"""Twins of the families of answerers that transformers reads."""

#: Kinds of twins by family.
TWINS = {"qwen2_5_vl": "qwen2.5-vl", "paligemma": "paligemma", "internvl": "internvl"}
