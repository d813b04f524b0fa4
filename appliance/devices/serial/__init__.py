"""Files that an old machine sends over a serial line: the line, the XMODEM receiver, the picture in the file."""
