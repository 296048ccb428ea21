"""A static site of a study's results, in which every number leads to its record."""
