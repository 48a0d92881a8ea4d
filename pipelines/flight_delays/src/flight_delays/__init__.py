"""Will this flight arrive 15 minutes late or more? One module per stage of `dvc.yaml`."""
