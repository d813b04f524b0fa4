"""Three old machines, each on the far side of a real interface of the operating system.

An ultrasound at the end of a pty pair, an endoscope behind a unix stream socket, a film digitizer as SANE's own test
backend. They share nothing with the box's code but what the wire says.
"""
