"""Documentation of the action plugin of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config
short_description: Bring a modality bridge to a configuration
description:
  - Compares, applies, comes back over a new connection, and confirms. A box that nobody confirms goes back by itself.
  - Idempotent. In check mode the box only says what would change.
options:
  src:
    description: The configuration's file on the controller.
    type: path
  content:
    description: The configuration itself, instead of O(src).
    type: str
  confirm_within:
    description: After this time without a confirmation the box goes back.
    type: str
    default: 10m
  confirm:
    description: Confirm once the box was reached anew. Otherwise a person does.
    type: bool
    default: true
author: modality bridge
"""

EXAMPLES = r"""
- name: As its file says
  modality.bridge.config:
    src: "boxes/{{ inventory_hostname }}.toml"
"""

RETURN = r"""
changes:
  description: What differed, a line for each key.
  type: list
  returned: success
restarts:
  description: Services that start anew for it.
  type: list
  returned: success
number:
  description: The number under which the box keeps the change.
  type: int
  returned: when something was applied
state:
  description: confirmed, waiting or rolled back.
  type: str
  returned: when something was applied
"""
