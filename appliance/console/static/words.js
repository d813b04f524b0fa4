// Dates, times, sizes, names and states as people of the page's language read them. Pure functions.

import { clockHours, hasText, language, numberText, text } from "./texts.js";

const DAY_MS = 86_400_000;
const MONTHS = text("date.months").split(" ");
// The scripts in which a reader of the language looks for a name first.
const OWN_SCRIPTS = { ja: [/\p{Script=Han}/u, /[\p{Script=Hiragana}\p{Script=Katakana}]/u], ar: [/\p{Script=Arabic}/u] };

/** DICOM DA `19610304` or the day of an ISO 8601 moment → [year, month, day] as text; null for anything else. */
function dayParts(date) {
  const match = /^(\d{4})-?(\d\d)-?(\d\d)(?:$|T)/.exec(date || "");
  return match && match.slice(1);
}

/** A day, `01 Aug 1975` or `01.08.1975`: no language's form is one that its readers read in two ways. */
export function dateText(date, key = "date.day") {
  const parts = dayParts(date);
  if (!parts) return date || "";
  const [year, month, day] = parts;
  return text(key, { year, month: MONTHS[Number(month) - 1] ?? month, day });
}

/** What a person typed of a day, in the language's order or year first → DICOM DA; as it was typed if it is no day. */
export function dateTyped(typed) {
  if (typed === "") return "";
  const order = text("date.day", { year: "y", month: "m", day: "d" }).replace(/[^ymd]/g, "");
  const parts = /^\d{8}$/.test(typed) ? eightDigits(typed, order) : typed.split(/\D+/).filter(Boolean);
  if (parts.length !== 3) return typed;
  const [year, month, day] = parts[0].length === 4 ? parts : [..."ymd"].map((part) => parts[order.indexOf(part)]);
  return `${year}${month.padStart(2, "0")}${day.padStart(2, "0")}`;
}

/** Digits alone: in the order of the language where its year can be one, else year first. */
function eightDigits(typed, order) {
  const last = Number(typed.slice(4));
  if (order[0] === "y" || last < 1850 || last > 2200) return [typed.slice(0, 4), typed.slice(4, 6), typed.slice(6)];
  return [typed.slice(0, 2), typed.slice(2, 4), typed.slice(4)];
}

/** The day without its year. */
export const shortDateText = (date) => dateText(date, "date.short");

/** DICOM TM `093000.00` → `09:30`. */
export function timeText(time) {
  return /^\d{4}/.test(time) ? hoursText(time.slice(0, 2), time.slice(2, 4)) : time || "";
}

function hoursText(hour, rest) {
  if (clockHours === 24) return `${hour}:${rest}`;
  return text(Number(hour) < 12 ? "date.am" : "date.pm", { time: `${Number(hour) % 12 || 12}:${rest}` });
}

/** ISO 8601 → `09:30:12` as the box's clock says, whatever time zone the browser is in. */
export function clockText(iso) {
  const match = /T(\d\d):(\d\d:\d\d)/.exec(iso || "");
  return match ? hoursText(match[1], match[2]) : "";
}

/** ISO 8601 → day and time. */
export function momentText(iso) {
  return iso ? `${dateText(iso)} ${clockText(iso)}` : "";
}

/** Age at `now` (ISO): in years, in months below two years, in days in the first two months; empty when it cannot be told. */
export function ageText(birthDate, now) {
  const born = dayParts(birthDate);
  if (!born) return "";
  const [year, month, day] = born.map(Number);
  const [thisYear, thisMonth, today] = dayParts(now).map(Number);
  const months = (thisYear - year) * 12 + thisMonth - month - (today < day ? 1 : 0);
  if (months < 0) return "";
  if (months < 2) {
    const days = Math.round((Date.parse(now.slice(0, 10)) - Date.parse(born.join("-"))) / DAY_MS);
    return Number.isNaN(days) ? "" : text("age.days", { count: days });
  }
  return months < 24 ? text("age.months", { count: months }) : text("age.years", { count: Math.floor(months / 12) });
}

/** Birth date and age, or that there is none. */
export function birthText(who, at) {
  if (!who.birth_date) return text("who.not_given");
  const age = ageText(who.birth_date, at);
  return age ? text("who.born", { date: dateText(who.birth_date), age }) : dateText(who.birth_date);
}

export const sexText = (sex) => text(hasText(`sex.${sex}`) && ["M", "F", "O"].includes(sex) ? `sex.${sex}` : "sex.none");

/** A name's groups, the one that readers of the language look for first. */
export function orderedNames(names) {
  const scripts = OWN_SCRIPTS[language] || [];
  const rankOf = (name) => {
    const found = scripts.findIndex((script) => script.test(name));
    return found < 0 ? scripts.length : found;
  };
  return [...names].sort((one, other) => rankOf(one) - rankOf(other));
}

/** A PN as people read it. */
export const nameText = (name) => name.split("=")[0].split("^").filter(Boolean).join(" ");

/** A number of seconds in one or two units: `20 s`, `4 min`, `3 h 5 min`. */
export function spanText(seconds) {
  if (seconds < 60) return text("span.seconds", { count: Math.floor(seconds) });
  if (seconds < 3600) return text("span.minutes", { count: Math.floor(seconds / 60) });
  if (seconds < 86_400)
    return text("span.hours", { hours: Math.floor(seconds / 3600), minutes: Math.floor((seconds % 3600) / 60) });
  return text("span.days", { count: Math.floor(seconds / 86_400) });
}

/** The time since `iso`. */
export function agoText(iso, now) {
  return spanText(Math.max(0, Math.round((Date.parse(now) - Date.parse(iso)) / 1000)));
}

export function bytesText(bytes) {
  if (bytes < 1000) return text("amount.bytes", { number: numberText(bytes) });
  if (bytes < 1_000_000) return text("amount.kilobytes", { number: numberText(Math.round(bytes / 1000)) });
  return text("amount.megabytes", { number: numberText(bytes / 1_000_000, 1) });
}

export const percentText = (part) => text("amount.percent", { number: Math.min(100, Math.floor(100 * part)) });

/** Seconds → `1:05`. */
export function durationText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const kindText = (kind) => text(`kind.${kind}`);

/** What is to be done: the procedure, and the step of it where that says more. */
export function whatText(item) {
  return [item.procedure, item.step].filter(Boolean).join(": ") || text("who.no_procedure");
}

/** Text for searching: lower case, without accents, in compatibility form, so that `muller` finds `Müller`. */
export function foldText(plain) {
  return plain.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Device → what people call it. */
export const titlesOf = (devices) => new Map(devices.map((device) => [device.device, device.title]));

/** True when nobody scheduled the exam and too little was typed to tell whose it is. */
export const isUnknown = (exam) => exam.is_scheduled === false && !exam.birth_date;

/** Whose exam it is, in a few words. */
export function whoText(exam) {
  return [orderedNames(exam.names || [])[0] || text("who.no_name"), exam.patient_id].filter(Boolean).join(text("said.comma"));
}
