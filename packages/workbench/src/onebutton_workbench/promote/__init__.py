"""A notebook becomes a pipeline, or is refused with the cell: the work of `make promote`."""
