"""Objects on a stick, as DICOM media: the last resort, which reads the spool's files and writes one mount."""
