"""Which species is this penguin? A module for each stage of its own in `dvc.yaml`."""
