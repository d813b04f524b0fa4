"""Exam and frame become a Secondary Capture object; the attribute table as data."""
