// Which machine an exam opens on.

const AWAY = new Set(["not running", "unplugged"]);

/** The device of `devices` (GET /api/exam) that `exam` was scheduled for.
 *
 *  One of the scheduled station before one of the scheduled modality before any other; then one that is there before
 *  one that is not, one with a live picture, and the first. What was scheduled and is not there says so on the screen.
 */
export function deviceFor(exam, devices) {
  const isAmong = (list, value) => Boolean(value) && list.includes(value);
  const tests = [
    (device) => isAmong(exam.stations, device.station),
    (device) => isAmong(exam.modalities, device.modality),
    (device) => !AWAY.has(device.state),
    (device) => device.kinds.includes("still"),
  ];
  let left = devices;
  for (const isBetter of tests) if (left.some(isBetter)) left = left.filter(isBetter);
  return left[0]?.device ?? null;
}

const KEPT = "shown-device";

/** A page that is read anew in the middle of an exam shows the device that was chosen there. */
export function keepChosen(examId, device) {
  sessionStorage.setItem(KEPT, JSON.stringify([examId, device]));
}

/** The device that was chosen in this exam, or null. */
export function chosenIn(examId) {
  const [keptIn, device] = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
  return keptIn === examId ? device : null;
}
