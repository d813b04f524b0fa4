"""The touchscreen's server: worklist, exam, preview, capture, and what became of it."""
