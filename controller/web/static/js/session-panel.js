// The left side of the launch page: what is live, what is saved, or the profile picker.
import { at, h, ask, duration, minutes } from "./dom.js";
import { draw } from "./drawing.js";
import { post } from "./api.js";
import { endThenFresh, launchClick } from "./claims.js";
import { doing, draw as redraw, goTo } from "./page.js";
import { choosing, idleTimes } from "./idle-times.js";
import { picker } from "./profile-picker.js";
import { queuedPanel } from "./queue-panel.js";
import { shellPanel } from "./shell-panel.js";
import { now, state } from "./state.js";

const profileTitle = (name) => state.profiles.find((profile) => profile.name === name)?.title || name;

export function drawSession(target) {
  const { session, saved } = state;
  const tick = session?.kind === "ssh" ? Math.floor(now() / 10000) : session?.detached || session?.state === "grace" || session?.state === "running" ? Math.floor(now() / 1000) : session ? Math.floor(now() / 10000) : 0;
  const model = [session, saved, state.profiles, state.profile, state.gpuModels, state.gpuModel, state.kind, state.keys, state.me?.wallet, state.busy, tick, state.me?.balance.gpu_ms, state.me?.idle_minutes, waits(session) ? [state.gpus, state.outlook, state.told] : 0];
  draw(target, model, () => (session ? live(session) : [saved && state.me ? savedPanel(saved) : intro(), picker(Boolean(saved && state.me)), idleWish()]));
}

/** Whether the queue is on the page: for who waits in it, and who may launch. */
const waits = (session) => !session || session.state === "queued";

function intro() {
  return h("header", { class: "intro" }, h("h1", {}, state.kind === "ssh" ? "Launch a shell" : "Launch a desktop"),
    h("p", { class: "lead" }, "Pick the smallest profile that fits your work. You pay wall-clock minutes times GPUs, from the moment it is ready."));
}

function live(session) {
  const shell = session.kind === "ssh" && ["running", "grace"].includes(session.state);
  if (shell) return shellPanel(session, leftMs(session), { panel, facts, profileTitle, buttons: shellButtons(session), until: guaranteed(session), note: guaranteeNote(session) });
  const queued = (waiting) => queuedPanel(waiting, { panel, facts, button, profileTitle });
  const panels = { queued, starting, ending, grace };
  return (panels[session.state] || running)(session);
}

const panel = (kind, ...children) => h("article", { class: `card live ${kind}`, "data-panel": kind }, children);
const button = (id, text, onclick, quiet = false) => h("button", { type: "button", id, class: quiet ? "button quiet" : "button", disabled: Boolean(state.busy), onclick }, text);
const facts = (...pairs) => h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const act = (name, path, body) => doing(name, () => post(path, body));
const endSession = (session) => act("end", `sessions/${session.id}/end`);

function starting(session) {
  return panel("starting",
    h("div", { class: "stage" }, h("div", { class: "pulse" }), h("div", {}, h("h1", {}, session.kind === "ssh" ? "Starting your shell" : "Starting your desktop"), h("p", { class: "sub" }, `${session.stage || "Preparing"}. It opens here by itself.`))),
    h("div", { class: "stage-track" }, h("i")),
    facts(["Profile", profileTitle(session.profile)], ["Since", duration(now() - session.claimed_at_ms)], ["Billed so far", "nothing"]));
}

function ending() {
  return panel("ending", h("div", { class: "stage" }, h("div", { class: "pulse" }), h("div", {}, h("h1", {}, "Ending your session"), h("p", { class: "sub" }, "The clock has stopped. Your files are being put away."))));
}

/** What is left at this burn rate, counting what runs on since the last settlement. */
function leftMs(session) {
  const ran = Math.max(0, (now() - (session.ready_at_ms ?? now())) * session.gpus);
  const unbilled = Math.min(Math.max(0, ran - session.billed_gpu_ms), 120000 * session.gpus);
  return (state.me.balance.gpu_ms - unbilled) / session.burn_rate;
}

function running(session) {
  const heading = session.detached ? "Your desktop is saved, and still running" : "Your desktop is open";
  const text = session.detached
    ? "You left it on its own. It keeps computing, and minutes keep counting until you end it."
    : "It is open in a tab, or was a moment ago. Return to it here; close its tab or end it to stop the clock.";
  return panel("saved detached", h("h1", {}, heading), h("p", { class: "sub" }, text), unopened(session),
    facts(["Profile", profileTitle(session.profile)], ["Running for", duration(now() - (session.ready_at_ms ?? now()))], ["Burn rate", `${session.burn_rate}×`], ["Balance lasts", duration(leftMs(session))], guaranteed(session)),
    guaranteeNote(session),
    session.idle_ends_at_ms ? h("p", { class: "why-not", role: "alert" }, `Nothing happens there. It ends in ${duration(session.idle_ends_at_ms - now())} unless you return; its files are kept.`) : null,
    h("p", { class: "actions" }, button("return", "Return to desktop", () => goTo(session.id)), endButton(session), freshButton(session)),
    idleChoice(session));
}

/** Its owner may have it ended when nothing happens there; work keeps it, also without a mouse. */
const idleChoice = (session) => idleTimes("End it by itself when nothing happens there", session.idle_minutes, (minutes) => act(choosing(minutes), `sessions/${session.id}/idle`, { minutes }));

/** The same for every desktop to come. */
const idleWish = () => (state.me && state.kind === "desktop" ? idleTimes("End desktops by themselves when nothing happens there", state.me.idle_minutes, (minutes) => act(choosing(minutes), "idle", { minutes })) : null);

/** It started while no page was open: it waits a few minutes for its owner. */
function unopened(session) {
  if (session.opened_at_ms || !session.detached) return null;
  const by = (session.ready_at_ms ?? now()) + state.config.open_within_minutes * 60000;
  return h("p", { class: "why-not", role: "alert", id: "unopened" }, `It started while no page was open. Return to it within ${duration(by - now())}, or it ends; what it cost by then is returned once a day.`);
}

/** Its GPUs are promised to an earlier request from then on. */
const guaranteed = ({ guarantee }) => (guarantee?.until_ms ? ["Guaranteed until", at.format(guarantee.until_ms)] : null);

function guaranteeNote({ guarantee }) {
  const left = (guarantee?.until_ms ?? Infinity) - now();
  return left > 30 * 60000 ? null : h("p", { class: "why-not", role: "alert", id: "guarantee-note" }, `Guaranteed for ${duration(left)} more; then it ends if an earlier request still needs its GPUs. Save your work, your files are kept.`);
}

function grace(session) {
  return panel("saved grace", h("h1", {}, "Your balance ran out"),
    h("p", { class: "sub" }, "The desktop stays up and billing is paused. Top up to go on; if the time runs out the desktop stops and your files are kept."),
    facts(["Time left", duration((session.grace_until_ms ?? now()) - now())], ["Profile", profileTitle(session.profile)], ["Used", `${minutes(session.billed_gpu_ms)} min`], guaranteed(session)),
    guaranteeNote(session),
    h("p", { class: "actions" },
      button("top-up-return", "Top up and return", () => { state.paying = true; state.returnTo = session.id; redraw(); document.getElementById("wallet").scrollIntoView({ block: "start" }); }),
      button("return", "Return without topping up", () => goTo(session.id), true), endButton(session), freshButton(session)));
}

function shellButtons(session) {
  const topUp = button("top-up", "Top up", () => { state.paying = true; redraw(); document.getElementById("wallet").scrollIntoView({ block: "start" }); });
  return [session.state === "grace" ? topUp : null, endButton(session)];
}

function endButton(session) {
  return button("end", "End session", async () => {
    if (await ask("End this session?", `The ${session.kind === "ssh" ? "shell" : "desktop"} stops now, open programs with it. GPUs are freed, billing stops, your files are kept.`, "End session")) endSession(session);
  }, true);
}

function freshButton(session) {
  return button("fresh", "Start fresh", async () => {
    const text = `This ends the running session first. Then a new ${profileTitle(session.profile)} desktop starts with clean settings: every file stays, old desktop settings are moved aside.`;
    if (await ask("End it and start fresh?", text, "End and start fresh")) doing("fresh", () => endThenFresh(session));
  }, true);
}

function savedPanel(saved) {
  const size = state.profiles.find((profile) => profile.name === saved.profile);
  const can = size?.possible;
  const relaunch = (fresh) => () => launchClick(saved.profile, fresh, saved.kind);
  const shell = saved.kind === "ssh";
  const wide = (id, text, fresh, quiet) => h("button", { type: "button", id, class: quiet ? "button quiet" : "button", disabled: Boolean(state.busy) || !can, onclick: relaunch(fresh) }, text);
  return panel("saved", h("h1", {}, shell ? "Your files are saved" : "Your desktop is saved"),
    h("p", { class: "sub" }, `Last session: ${profileTitle(saved.profile)}${shell ? " shell" : ""}, ${duration(now() - saved.ended_at_ms)} ago${saved.reason ? `, ${saved.reason}` : ""}. Your files are where you left them.`),
    saved.advice ? h("p", { class: "why-not", role: "alert" }, saved.advice) : null,
    h("p", { class: "actions" }, wide("relaunch", `Relaunch ${profileTitle(saved.profile)}${shell ? " shell" : ""}`, false, false), shell ? null : wide("start-fresh", "Start fresh", true, true)),
    h("p", { class: "sub" }, can ? `Relaunch costs ${size.usd_per_hour_text} per hour; your balance lasts ${duration((size.lasts_minutes ?? 0) * 60000)}. ${shell ? "A desktop below opens the same files." : "Start fresh keeps every file and moves old desktop settings aside."}` : size?.why_not || "Top up to relaunch."));
}
