"""Each decoder that reads bytes from a wire, under a coverage-guided fuzzer."""
