"""The box as a virtual machine: QEMU, its monitor, a shell inside, and cases that start from one booted state."""
