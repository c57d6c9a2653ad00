// The control bar: special keys, clipboard both ways, full screen, resize to window.
import { $, h, toast } from "../dom.js";

const CTRL = [0xffe3, "ControlLeft"];
const ALT = [0xffe9, "AltLeft"];
const SUPER = [0xffeb, "MetaLeft"];
const KEYS = [
  ["Ctrl+Alt+Del", [CTRL, ALT, [0xffff, "Delete"]]], ["Alt+Tab", [ALT, [0xff09, "Tab"]]], ["Alt+F4", [ALT, [0xffc1, "F4"]]],
  ["Esc", [[0xff1b, "Escape"]]], ["Tab", [[0xff09, "Tab"]]], ["Super", [SUPER]],
  ["Alt+F2", [ALT, [0xffbf, "F2"]]], ["Ctrl+Alt+T", [CTRL, ALT, [0x74, "KeyT"]]], ["F11", [[0xffc8, "F11"]]],
];

export function startControls(stream) {
  $("#key-grid").replaceChildren(...KEYS.map(([name, keys]) => h("button", { type: "button", onclick: () => press(stream, keys) }, name)));
  $("#fit").addEventListener("click", () => fit(stream));
  $("#full").addEventListener("click", fullScreen);
  document.addEventListener("fullscreenchange", () => { $("#full").textContent = document.fullscreenElement ? "Leave full screen" : "Full screen"; });
  startClipboard(stream);
}

function press(stream, keys) {
  for (const [keysym, code] of keys) stream.rfb?.sendKey(keysym, code, true);
  for (const [keysym, code] of [...keys].reverse()) stream.rfb?.sendKey(keysym, code, false);
  stream.rfb?.focus();
}

/** On: the desktop takes the window's size. Off: it keeps its size and is scaled to fit. */
function fit(stream) {
  stream.fit = !stream.fit;
  if (stream.rfb) stream.rfb.resizeSession = stream.fit;
  $("#fit").setAttribute("aria-pressed", String(stream.fit));
}

async function fullScreen() {
  if (document.fullscreenElement) { await document.exitFullscreen(); return; }
  await document.documentElement.requestFullscreen();
  await navigator.keyboard?.lock?.().catch(() => {});
}

function startClipboard(stream) {
  const field = $("#clip-text");
  stream.onClipboard = (text) => {
    field.value = text;
    navigator.clipboard?.writeText(text).catch(() => {});
  };
  const send = () => { stream.rfb?.clipboardPasteFrom(field.value); };
  $("#clip-send").addEventListener("click", () => { send(); $("#clip").hidePopover(); stream.rfb?.focus(); toast("The desktop can paste it now."); });
  $("#clip-copy").addEventListener("click", () => navigator.clipboard.writeText(field.value).then(() => toast("Copied."), () => field.select()));
  addEventListener("focus", async () => {
    const permission = await navigator.permissions?.query({ name: "clipboard-read" }).catch(() => null);
    if (permission?.state !== "granted") return;
    const text = await navigator.clipboard.readText().catch(() => "");
    if (text && text !== field.value) { field.value = text; send(); }
  });
}
