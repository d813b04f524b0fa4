"""What every room stands on: durable files, clock, UIDs, errors, logging, sockets, paths."""
