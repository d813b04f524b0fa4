"""The power-cut proof: a recorded job, every state that a power cut could leave of it, and the recovery on each."""
