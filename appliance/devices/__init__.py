"""Old machines, as the box sees them: video through a grabber, files over a serial line, films through a digitizer.

Everything here ends in a `Frame` or in bounded rows of a film. No DICOM is known in this room.
"""
