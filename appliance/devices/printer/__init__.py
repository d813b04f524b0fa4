"""Virtual printers: what an old machine prints becomes a page of pixels, and the text that stands on it."""
