"""Films of episodes, and pictures of those that one run wins and another loses."""
