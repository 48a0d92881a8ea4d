"""What a stage's results come from: its imports, its fingerprint, and what a change reaches."""
