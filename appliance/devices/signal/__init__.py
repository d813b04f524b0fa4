"""What says *now*: pedals and keys, GPIO, a modem line, a byte pattern; debounced, with the moment at which it came."""
