"""One process per device: trigger, frame, object, durable on flash, then the answer."""
