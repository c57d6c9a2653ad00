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
const presence = startPresence(id, { taken: release });

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
  stream?.stop();
  meter?.stop();
  location.assign("/launch");
}

function release() {
  stream?.stop();
  meter?.stop();
  veil("Your desktop moved to another tab", "Only one tab shows it at a time. The session goes on there.", button("Bring it back here", () => location.reload()), button("Launch page", leave, true));
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

const detach = () => once(() => post(path("detach")));

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

async function open() {
  const session = await post(path("attach"));
  presence.own();
  meter = startMeter(root, session, { gone: leave, say: toast });
  stream = openStream(path("stream"), $("#screen"), { link: showLink, gone: leave });
  startControls(stream);
}

async function start() {
  if (!(await whoAmI())) { location.assign("/launch"); return; }
  if (await presence.elsewhere()) {
    veil("Your desktop is open in another tab", "It can be shown in one tab at a time. Taking it over does not disturb what runs in it.", button("Take it over here", () => { presence.take(); begin(); }), button("Launch page", leave, true));
    return;
  }
  await begin();
}

async function begin() {
  wait("Opening your desktop");
  try {
    await open();
  } catch (error) {
    const { session } = await get("sessions/current").catch(() => ({ session: null }));
    if (session && ["queued", "starting"].includes(session.state)) { leave(); return; }
    veil("This desktop is not running", error.message, button("Go to the launch page", leave));
  }
}

$("#detach").addEventListener("click", detach);
$("#end").addEventListener("click", end);
$("[data-detach]").addEventListener("click", (event) => { event.preventDefault(); detach(); });
start().catch((error) => veil("This desktop cannot be opened right now", error.message, button("Try again", () => location.reload())));
