"""What `make lint` and `make selftest` hold the repository to."""
