"""Worklist item, exam and patient, and the facts of an exam that are files."""
