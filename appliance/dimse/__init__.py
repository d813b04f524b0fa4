"""Talking DICOM to the hospital: associations, worklist, performed step, store, commitment."""
