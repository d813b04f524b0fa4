// Dates, times, sizes and states as people read them. Pure functions.

const DAY_MS = 86_400_000;

/** DICOM DA `19610304` → `1961-03-04`, the one form that nobody reads in two ways. */
export function dateText(date) {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date || "";
}

/** DICOM TM `093000.00` → `09:30`. */
export function timeText(time) {
  return /^\d{4}/.test(time) ? `${time.slice(0, 2)}:${time.slice(2, 4)}` : time || "";
}

/** ISO 8601 → `09:30:12` as the box's clock says, whatever time zone the browser is in. */
export function clockText(iso) {
  const match = /T(\d\d:\d\d:\d\d)/.exec(iso || "");
  return match ? match[1] : "";
}

/** Age at `now` (ISO): `65 y`, `7 m` below two years, `12 d` in the first two months; empty when it cannot be told. */
export function ageText(birthDate, now) {
  const text = dateText(birthDate);
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return "";
  const [year, month, day] = text.split("-").map(Number);
  const [thisYear, thisMonth, today] = now.slice(0, 10).split("-").map(Number);
  const months = (thisYear - year) * 12 + thisMonth - month - (today < day ? 1 : 0);
  if (Number.isNaN(months) || months < 0) return "";
  if (months < 2) return `${Math.round((Date.parse(now.slice(0, 10)) - Date.parse(text)) / DAY_MS)} d`;
  return months < 24 ? `${months} m` : `${Math.floor(months / 12)} y`;
}

const SEXES = { M: "male", F: "female", O: "other" };
export const sexText = (sex) => SEXES[sex] || "sex not given";

/** Seconds since `iso` in one or two units: `20 s`, `4 min`, `3 h 5 min`. */
export function agoText(iso, now) {
  const seconds = Math.max(0, Math.round((Date.parse(now) - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} days`;
}

export function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** Seconds → `1:05`. */
export function durationText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

const KINDS = { still: "Still", clip: "Clip", transfer: "Image", film: "Film", page: "Page" };
export const kindText = (kind) => KINDS[kind] || "Object";

export function countText(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

/** What is to be done: the procedure, and the step of it where that says more. */
export function whatText(item) {
  return [item.procedure, item.step].filter(Boolean).join(": ") || "no procedure given";
}

/** Text for searching: lower case, without accents, in compatibility form, so that `muller` finds `Müller`. */
export function foldText(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
