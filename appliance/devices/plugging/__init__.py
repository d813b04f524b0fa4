"""What is plugged into the box, and the rule of udev that names it."""
