"""How late will this flight arrive, in minutes? A module for each stage of its own in `dvc.yaml`."""
