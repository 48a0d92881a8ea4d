"""MLflow is where people look, DVC and git are where truth is kept: this brings the one to the other."""
