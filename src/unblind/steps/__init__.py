"""Steps of learning as a workflow runs them: made once, in their places, with sidecars."""
