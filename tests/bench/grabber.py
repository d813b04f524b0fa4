"""`python -m tests.bench.grabber SOCKET RATE`: a grabber that sends 1080p JPEG frames, as many a second as are wanted.

It serves one reader, and drops what is late: then the number of the next frame shows the gap. A line on its standard
output says when it listens; each SIGUSR1 gives one {sent, dropped, late} as JSON: dropped since the reader took the
frame before too slowly, or late since this process itself got no processor.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from appliance.devices.video.stream import FRAME_HEADER, FRAME_MARK
from appliance.simulator.machines.endoscope_picture import EndoscopePainter

_FRAMES = 24
_BUFFER_BYTES = 4 << 20


def main(path: Path, rate: float) -> None:
    painter = EndoscopePainter(_FRAMES)
    frames = [painter.paint_frame(index) for index in range(_FRAMES)]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    counts = {"sent": 0, "dropped": 0, "late": 0}
    signal.signal(signal.SIGUSR1, lambda *_: print(json.dumps(counts), flush=True))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        print(json.dumps({"frame_bytes": sum(map(len, frames)) // len(frames)}), flush=True)
        number = 0
        listener.settimeout(0.5)
        while not stop.is_set():
            try:
                reader, _ = listener.accept()
            except TimeoutError:
                continue
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            reader.settimeout(10.0)
            due, taken = time.monotonic(), 0.0
            with reader:
                try:
                    while not stop.is_set():
                        time.sleep(max(0.0, due - time.monotonic()))
                        late = int((time.monotonic() - due) * rate)
                        number, due = number + late, due + late / rate
                        counts["dropped" if taken * rate > 0.5 else "late"] += late
                        frame = frames[number % _FRAMES]
                        taken = time.monotonic()
                        reader.sendall(FRAME_HEADER.pack(FRAME_MARK, len(frame), number, int(due * 1e9)) + frame)
                        number, due, taken = number + 1, due + 1 / rate, time.monotonic() - taken
                        counts["sent"] += 1
                except OSError:
                    continue


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
