"""A compressed month of the box: real processes, an archive that fails as in life; nothing lost, nothing doubled."""
