// The stream: noVNC to the gateway with a fresh single-use ticket for every connection, and back again when it breaks.
import RFB from "/vendor/novnc/core/rfb.js";
import { post } from "../api.js";
import { pause } from "../dom.js";

const BACK_OFF_MS = [200, 500, 1000, 2000, 4000, 8000];
const GONE = new Set(["wrong_state", "not_found", "sign_in_needed"]);

/**
 * noVNC takes up again what it put off while it drew a picture, even when the connection has been let go since.
 * The two names are its own and not public: look here when its version in the lock changes.
 */
class Screen extends RFB {
  _handleMessage() {
    if (["connecting", "connected"].includes(this._rfbConnectionState)) super._handleMessage();
  }
}

/**
 * Open the stream into `screen`; `on.link` hears "connecting", "on", "off", `on.gone` that there is nothing to show,
 * `on.taken` that another tab works there now. `as` says which tab asks, and whether it only looks.
 */
export function openStream(ticketPath, screen, as, on) {
  const stream = { rfb: null, fit: true, clipboard: "", onClipboard: () => {}, stop };
  let stopped = false;
  let failures = 0;

  function stop() {
    stopped = true;
    stream.rfb?.disconnect();
  }

  async function connect() {
    if (stopped) return;
    try {
      const { gateway_url: url, ticket } = await post(ticketPath, as);
      if (!stopped) show(url, ticket);
    } catch (error) {
      if (error.code === "shown_elsewhere") on.taken();
      else if (GONE.has(error.code)) on.gone();
      else again();
    }
  }

  function show(url, ticket) {
    const rfb = new Screen(screen, url, { wsProtocols: ["binary", `ticket.${ticket}`] });
    rfb.scaleViewport = true;
    rfb.viewOnly = as.view_only;
    rfb.resizeSession = stream.fit && !as.view_only;
    rfb.background = "#05070a";
    rfb.addEventListener("connect", () => { failures = 0; on.link("on"); rfb.focus(); });
    rfb.addEventListener("clipboard", (event) => { stream.clipboard = event.detail.text; stream.onClipboard(event.detail.text); });
    rfb.addEventListener("disconnect", () => { if (stream.rfb === rfb) { stream.rfb = null; again(); } });
    stream.rfb = rfb;
  }

  async function again() {
    if (stopped) return;
    on.link("off");
    await pause(BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length - 1)]);
    failures += 1;
    connect();
  }

  on.link("connecting");
  connect();
  addEventListener("online", () => { failures = 0; });
  return stream;
}
