"use strict";

const element = (id) => document.getElementById(id);
let busy = false;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.error.sentence} ${answer.error.suggestion}`);
  return answer;
}

async function print(fault) {
  busy = true;
  const keys = document.querySelectorAll("[data-print]");
  keys.forEach((key) => { key.disabled = true; });
  element("ultrasound-status").textContent = "Sending …";
  try {
    const answer = await ask("ultrasound/print", {
      format: element("format").value,
      protocol: element("protocol").value,
      fault: fault || null,
    });
    element("ultrasound-status").textContent = answer.sentence;
  } catch (error) {
    element("ultrasound-status").textContent = error.message;
  } finally {
    keys.forEach((key) => { key.disabled = false; });
    busy = false;
  }
}

function showVideo(status) {
  const fault = status.fault ? `Fault: ${status.fault}.` : "All is well.";
  const readers = status.readers === 0 ? "Nobody is watching." : `Watched by ${status.readers}.`;
  element("endoscope-status").textContent = `${readers} ${fault}`;
}

async function refresh() {
  try {
    const status = await ask("status");
    if (!busy) element("ultrasound-status").textContent = status.ultrasound.sentence;
    showVideo(status.endoscope);
  } catch {
    element("endoscope-status").textContent = "The machines are switched off.";
  }
}

document.querySelectorAll("[data-print]").forEach((key) => {
  key.addEventListener("click", () => print(key.dataset.print));
});
document.querySelectorAll("[data-fault]").forEach((key) => {
  key.addEventListener("click", async () => {
    try {
      showVideo(await ask("endoscope/fault", {
        fault: key.dataset.fault || null,
        frames: Number(key.dataset.frames),
      }));
    } catch (error) {
      element("endoscope-status").textContent = error.message;
    }
  });
});
refresh();
setInterval(refresh, 2000);
