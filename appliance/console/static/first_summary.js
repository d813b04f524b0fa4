// What would be in force, a row for each thing that somebody must look at before.

import { make } from "./elements.js";
import { text } from "./texts.js";

const peerText = (peer) => text(peer.tls ? "first.peer_tls" : "first.peer", { ae_title: peer.ae_title, host: peer.host, port: peer.port });

/** What is no text of ours keeps its own direction. */
const own = (value) => (value ? make("bdi", { text: value }) : "");

function rowsOf(summary) {
  const archives = summary.destinations.map((one) => text(one.commitment ? "first.archive_commits" : "first.archive_commits_not", { peer: peerText(one) }));
  return [
    ["box", text("first.box_is", { ae_title: summary.ae_title, name: summary.name })],
    ["address", own(summary.address) || text("first.dhcp")],
    ["gateway", own(summary.gateway)],
    ["dns", own(summary.dns.join(" "))],
    ["worklist", ...summary.worklist.map(peerText)],
    ["archive", ...archives],
    ["performed_step", summary.performed_step ? peerText(summary.performed_step) : ""],
    ["reports", summary.report_port ? text("first.reports_at", { ae_title: summary.ae_title, port: String(summary.report_port) }) : ""],
    ["devices", ...summary.devices.map(own)],
    ["support", ...(summary.support.length ? summary.support.map(own) : [text("first.nobody")])],
  ].filter(([, ...values]) => values.some(Boolean));
}

export function drawRows(list, summary) {
  const said = JSON.stringify(summary);
  if (list.dataset.said === said) return; // drawn anew each second it could not be read in peace
  list.dataset.said = said;
  list.replaceChildren(
    ...rowsOf(summary).map(([row, ...values]) =>
      make(
        "div",
        { testid: "row", data: { row } },
        make("dt", { text: text(`first.row_${row}`) }),
        ...values.map((value) => make("dd", {}, value)),
      ),
    ),
  );
}
