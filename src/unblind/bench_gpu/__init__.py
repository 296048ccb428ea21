"""Speed of the published sizes on one GPU, with random weights: no download, no simulator."""
