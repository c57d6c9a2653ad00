// A shell on the launch page: how to reach it, how long it lasts, and its end.
import { h, duration, minutes, toast } from "./dom.js";
import { now } from "./state.js";
import { ends } from "./ticking.js";

const LOW_MS = 30 * 60000;

/** Everything to copy; `parts` are the launch page's own panel, facts and buttons. */
export function shellPanel(session, leftMs, { panel, facts, profileTitle, buttons, until, note }) {
  const ssh = session.ssh;
  const paused = session.state === "grace";
  const left = paused ? (session.grace_until_ms ?? now()) - now() : leftMs;
  return panel(`shell ${paused ? "grace" : ""}`,
    h("h1", {}, paused ? "Your balance ran out" : "Your shell is running"),
    h("p", { class: "sub" }, paused
      ? "Billing is paused and the shell stays up. Top up to go on; if the time runs out it ends, and your files are kept."
      : "Log in from your own terminal. Minutes count until you end it here: logging out or closing this page does not stop the clock."),
    paused || left > LOW_MS ? null : h("p", { class: "note", role: "alert" }, `About ${duration(left)} left at this burn rate. `, h("a", { href: "#top-up" }, "Top up"), "."),
    ssh ? copied("Log in", "ssh-command", ssh.command) : null,
    facts([paused ? "Time left" : "Balance lasts", ends(now() + left)], ["Running for", duration(now() - (session.ready_at_ms ?? now()))],
      ["Burn rate", paused ? "paused" : `${session.burn_rate}×`], ["Profile", profileTitle(session.profile)], ["Used", `${minutes(session.billed_gpu_ms)} min`], until), note,
    ssh ? [h("p", { class: "sub" }, "Host key, the same for your files in every session: ", h("span", { class: "mono", id: "ssh-fingerprint" }, ssh.host_key_fingerprint)),
      copied("For ~/.ssh/known_hosts, before the first login", "ssh-known-hosts", ssh.known_hosts),
      copied("For ~/.ssh/config, then `ssh axonos`", "ssh-config", ssh.config),
      h("p", { class: "sub" }, "Ports are forwarded with -L, -R and -D. JupyterLab: run ", h("code", {}, "axonos-jupyter"), " in the shell.")] : null,
    h("p", { class: "actions" }, buttons));
}

function copied(title, id, text) {
  const copy = () => navigator.clipboard.writeText(text).then(() => toast("Copied."), () => getSelection().selectAllChildren(document.getElementById(id)));
  return h("div", { class: "copy" }, h("span", { class: "faint" }, title), h("button", { type: "button", class: "link", id: `${id}-copy`, onclick: copy, "aria-label": `Copy: ${title}` }, "Copy"),
    h("pre", { class: "mono", id, tabindex: "0" }, text));
}
