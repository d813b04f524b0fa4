"""The modality bridge: a box beside an old imaging machine that speaks DICOM for it.

Rooms, from the top downwards; each may use only what stands below it:
services, then console | cli | simulator, acquire | forward, compose, devices | dimse, exam, spool, config, base.
"""
