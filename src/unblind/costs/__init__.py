"""What a study takes: expected by formula, and measured as its sidecars say."""
