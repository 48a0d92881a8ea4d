"""Take a data set in: what a file is, what an archive holds, what its table must be. No stage imports this."""
