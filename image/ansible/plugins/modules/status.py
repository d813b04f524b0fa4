"""Documentation of the action plugin of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: How a modality bridge is
description:
  - What C(appliance status --json) says. Patients are named as the key's role allows.
options:
  worst:
    description: The worst exit status that is no failure, V(0) well, V(1) something is wrong, V(2) a part is down.
    type: int
    default: 0
author: modality bridge
"""

EXAMPLES = r"""
- name: Nothing is down
  modality.bridge.status:
    worst: 1
"""

RETURN = r"""
exit_status:
  description: Of C(appliance status).
  type: int
  returned: always
findings:
  description: What is wrong, in sentences.
  type: list
  returned: always
box:
  description: The whole document.
  type: dict
  returned: always
"""
