"""Floor 2: one file per algorithm, same skeleton: a diff of two is the comparison of two."""
