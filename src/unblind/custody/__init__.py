"""Where results came from, and whether they still are what was made: sidecars, pointers, trees."""
