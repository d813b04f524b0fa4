"""Old machines: serial lines, frame grabbers, film digitizers. No DICOM here."""
