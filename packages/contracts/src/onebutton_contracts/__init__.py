"""What goes into a stage, said in a file and held to it: contracts for data, typed parameters, pinned sources."""
