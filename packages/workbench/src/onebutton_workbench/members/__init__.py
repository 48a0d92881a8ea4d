"""Add, take out, adopt and upgrade packages and pipelines."""
