// The desktop page: one session, one stream, one meter, in one tab at a time.
import { get, post, whoAmI } from "./api.js";
import { $, h, ask, toast } from "./dom.js";
import { startControls } from "./desktop/controls.js";
import { startMeter } from "./desktop/meter.js";
import { startPresence } from "./desktop/presence.js";
import { openStream } from "./desktop/stream.js";

const root = $("#desktop");
const id = root.dataset.session;
const path = (verb) => `sessions/${id}/${verb}`;
let stream = null;
let meter = null;
const TAKE = "axonos.take";
const presence = startPresence(id);
const as = { tab: presence.tab, view_only: false };
let watched = false;

/** Cover the screen with words and a way on; without words, uncover it. */
function veil(heading, text, ...buttons) {
  $("#veil").hidden = !heading;
  if (heading) $("#veil-card").replaceChildren(h("h1", {}, heading), h("p", {}, text), h("p", { class: "actions" }, buttons));
}

function wait(text) {
  $("#veil").hidden = false;
  $("#veil-card").replaceChildren(h("div", { class: "pulse" }), h("p", {}, text));
}

const button = (text, onclick, quiet = false) => h("button", { type: "button", class: quiet ? "button quiet" : "button", onclick }, text);

function leave() {
  presence.leave();
  stop();
  location.assign("/launch");
}

/** Another tab works at the desktop now. */
function release() {
  presence.leave();
  stop();
  closingEndsNothing();
  veil("Your desktop moved to another tab", "It was taken over there, in this browser or on another device, and goes on.", button("Bring it back here", takeOver), button("Only look", look, true), button("Launch page", leave, true));
}

/** Come back as the one that works; the page begins anew for it. */
function takeOver() {
  sessionStorage.setItem(TAKE, id);
  location.reload();
}

function closingEndsNothing() {
  $("#link").dataset.state = "connecting";
  $("#link span").textContent = "Elsewhere";
  $("#hint").textContent = "Closing this tab ends nothing.";
}

function stop() {
  stream?.stop();
  meter?.stop();
}

/** The other tab looks on: said once, and shown as long as it does. */
function tellWatched(now) {
  $("#watched").hidden = !now;
  if (now && !watched) toast("Another tab looks at this desktop now. It cannot type or click.");
  watched = now;
}

async function once(action) {
  try {
    await action();
    leave();
  } catch (error) {
    if (["wrong_state", "not_found"].includes(error.code)) leave();
    else toast(error.message, "bad");
  }
}

const detach = () => (as.view_only ? leave() : once(() => post(path("detach"))));

async function end() {
  if (await ask("End this session?", "The desktop stops now, open programs with it. GPUs are freed, billing stops, your files are kept.", "End session")) await once(() => post(path("end")));
}

function showLink(state) {
  $("#link").dataset.state = state;
  $("#link span").textContent = { on: "Connected", connecting: "Connecting", off: "Reconnecting" }[state];
  if (state === "on") veil("");
  if (state === "off") {
    wait("The connection was lost. Reconnecting…");
    meter?.beat();
  }
}

function show(session) {
  meter = startMeter(root, session, as, { gone: leave, taken: release, watched: tellWatched, say: toast });
  stream = openStream(path("stream"), $("#screen"), as, { link: showLink, gone: leave, taken: release });
}

async function open(asked) {
  const session = await post(path("attach"), { tab: presence.tab, ...asked });
  presence.own();
  $("#hint").textContent = "Closing this tab ends the session.";
  show(session);
  startControls(stream);
}

async function start() {
  if (!(await whoAmI())) { location.assign("/launch"); return; }
  const take = sessionStorage.getItem(TAKE) === id;
  sessionStorage.removeItem(TAKE);
  await begin({ take });
}

/** Work here; if another tab does already, ask. */
async function begin(asked) {
  wait("Opening your desktop");
  try {
    await open(asked);
  } catch (error) {
    if (error.code === "shown_elsewhere") {
      closingEndsNothing();
      veil("Your desktop is open in another tab", "In this browser or on another device. Taking it over does not disturb what runs in it; if you only look, nothing you type or click gets there.", button("Take it over here", () => begin({ take: true })), button("Only look", look, true), button("Launch page", leave, true));
      return;
    }
    const { session } = await get("sessions/current").catch(() => ({ session: null }));
    if (session && ["queued", "starting"].includes(session.state)) { leave(); return; }
    veil("This desktop is not running", error.message, button("Go to the launch page", leave));
  }
}

/** See what the other tab does: the gateway passes no input of this one on. */
async function look() {
  const { session } = await get("sessions/current");
  if (!session || session.id !== id) { leave(); return; }
  as.view_only = true;
  document.body.classList.add("looks");
  closingEndsNothing();
  wait("Opening the view");
  show(session);
}

$("#detach").addEventListener("click", detach);
$("#leave").addEventListener("click", leave);
$("#take").addEventListener("click", takeOver);
$("#end").addEventListener("click", end);
$("[data-detach]").addEventListener("click", (event) => { event.preventDefault(); detach(); });
start().catch((error) => veil("This desktop cannot be opened right now", error.message, button("Try again", () => location.reload())));
