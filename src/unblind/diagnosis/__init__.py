"""What a model's representations hold: probes, attention, collapse, drift and the loss's shape."""
