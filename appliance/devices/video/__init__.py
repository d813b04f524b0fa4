"""Moving pictures: what a source of video must do, the sources, and the JPEG frames that they give."""
