"""Will this flight arrive 15 minutes late or more? A module for each stage of its own in `dvc.yaml`."""
