// A patient who is on no list: what is typed, and the same as an entry that the confirm screen can show.

import { byId, make } from "./elements.js";
import { text } from "./texts.js";
import { dateTyped } from "./words.js";

const FIELDS = ["family-name", "given-name", "patient-id", "birth-date"];

let sex = "";

const valueOf = (id) => byId(`unscheduled-${id}`).value.trim();

export function clearUnscheduled() {
  for (const id of FIELDS) byId(`unscheduled-${id}`).value = "";
  chooseSex("");
}

function chooseSex(chosen) {
  sex = chosen;
  const choices = ["F", "M", "O", ""].map((value) =>
    make("button", {
      type: "button",
      class: "chip",
      role: "radio",
      testid: "sex",
      data: { value },
      ariaChecked: String(value === sex),
      text: text(value ? `sex.${value}` : "sex.none"),
      onclick: () => chooseSex(value),
    }),
  );
  byId("unscheduled-sex").replaceChildren(...choices);
}

/** What the box is asked to open an exam on (POST /api/exams); it holds every value to the standard's forms. */
function patientTyped() {
  const given = valueOf("given-name");
  return {
    name: valueOf("family-name") + (given ? `^${given}` : ""),
    patient_id: valueOf("patient-id"),
    birth_date: dateTyped(valueOf("birth-date")),
    sex,
  };
}

/** The typed patient in the form of a worklist item, with `patient` for the box. */
export function itemTyped() {
  const patient = patientTyped();
  return {
    patient,
    key: "",
    names: [[valueOf("family-name"), valueOf("given-name")].filter(Boolean).join(" ")].filter(Boolean),
    patient_id: patient.patient_id,
    birth_date: patient.birth_date,
    sex: patient.sex,
    accession_number: "",
    modality: "",
    procedure: text("unscheduled.procedure"),
    missing: [],
    findings: [],
    examined: false,
  };
}
