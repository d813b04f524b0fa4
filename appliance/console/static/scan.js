// A barcode scanner is a keyboard that types very fast and presses Enter. It knows nothing of fields or screens.

const MOST_GAP_MS = 60; // between two of its keys; a person's are further apart
const SHORTEST = 4;

/** Calls `onScan(text, isInField)` for what a scanner types anywhere; false from it leaves Enter to the field. */
export function watchScanner(onScan) {
  let typed = "";
  let last = 0;
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      const isFast = event.timeStamp - last <= MOST_GAP_MS;
      last = event.timeStamp;
      if (event.key.length === 1) {
        typed = isFast ? typed + event.key : event.key;
      } else if (event.key === "Enter") {
        const scanned = typed.trim();
        typed = "";
        if (!isFast || scanned.length < SHORTEST) return;
        // A field of the screen before keeps its focus for a moment.
        const isInField = event.target.tagName === "INPUT" && event.target.getClientRects().length > 0;
        if (onScan(scanned, isInField) === false) return;
        event.preventDefault();
        event.stopImmediatePropagation();
      } else if (event.key !== "Shift") {
        typed = "";
      }
    },
    true,
  );
}

/** The items that a scanned text names: by Patient ID, accession number or requested procedure. */
export function itemsScanned(items, scanned) {
  const wanted = scanned.toLowerCase();
  return items.filter((item) =>
    [item.patient_id, item.accession_number, item.procedure_id].some((value) => value && value.toLowerCase() === wanted),
  );
}
