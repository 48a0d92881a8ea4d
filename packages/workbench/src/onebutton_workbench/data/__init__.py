"""Bring tables in, keep them in a remote, and draw dummy ones."""
