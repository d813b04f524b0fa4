"""Machines that say their results in text over a serial line: frames, fields, and the page that a physician reads."""
