"""The HTTP server: any release in, predictions out."""
