"""Build a release, deploy it, roll it back, and score in batch."""
