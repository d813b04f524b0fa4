"""What the sections of the conformance statement say: a function for each, by its number.

A function gives its section's blocks, or one sentence: why the section does not apply to this configuration. Facts come
from the statement; the words around them stand here.
"""
