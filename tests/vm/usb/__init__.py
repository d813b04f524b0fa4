"""USB devices for the guest that this machine does not have: their models, and the cable to QEMU (usbredir)."""
