"""What this box conforms to, from the tables that it runs; and whether that is what a purchaser's profile asks for."""
