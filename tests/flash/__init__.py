"""The bad-flash proof: a layer below everything that fails at any operation, and the whole job on top of it."""
