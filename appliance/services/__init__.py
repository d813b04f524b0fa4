"""One composition root for each process: each file reads like a parts list."""
