"""The modality bridge: a box beside an old imaging machine that speaks DICOM for it.

Rooms, from the top downwards; each may use only what stands below it:
services, then console | cli | simulator, acquire | forward, compose, devices | dimse, exam, spool, config, base.
"""

import os

# No plug-in changes how a box reads its files; and to look for some, pydantic reads what every package says of itself.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
