"""An object's data set as it lies on flash, hashed while it is sent: what its name does not promise never leaves whole.

The sender reads every byte anyhow. Hashing it on its way costs no second reading, and nothing can change in between;
when the last bytes have been read and the digest is another one, they are held back, and half an object is none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from appliance.base.errors import ApplianceError
from appliance.dimse.transmit import FileSource
from appliance.spool.names import ObjectName


class DamagedContent(ApplianceError):
    """The file's bytes are not those that its name promises."""


class VerifiedSource(FileSource):
    """The data set of the open file `descriptor`, from the byte `offset` to its end."""

    def __init__(self, descriptor: int, offset: int, name: ObjectName) -> None:
        """`name` is the file's. OSError when it cannot be read."""
        super().__init__(descriptor, offset, os.fstat(descriptor).st_size - offset)
        self._name = name
        self._hash = hashlib.sha256()
        self._round = bytearray()
        self._at = 0
        self._end = offset + self.length
        self._take(memoryview(os.pread(descriptor, offset, 0)))

    def read_into(self, spaces: Sequence[memoryview]) -> int:
        """See `Source`. DamagedContent in place of the last bytes, OSError."""
        read = left = super().read_into(spaces)
        for space in spaces:
            self._take(space[:left])
            left -= min(left, len(space))
        if self._at == self._end:
            self._compare()
        return read

    def _take(self, data: memoryview) -> None:
        """The digest goes from the name's offset round to it: what lies before comes last."""
        before = max(0, self._name.offset - self._at)
        self._round += data[:before]
        self._hash.update(data[before:])
        self._at += len(data)

    def _compare(self) -> None:
        self._hash.update(self._round)
        if self._hash.hexdigest() != self._name.digest:
            raise DamagedContent(
                f"The file of object {self._name.sop_instance_uid} is not what was saved.",
                "It is not sent; it is looked at and set aside.",
            )
