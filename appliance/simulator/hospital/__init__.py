"""A hospital to try the box on: worklist, performed steps, storage and commitment on one port."""
