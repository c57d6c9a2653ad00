// Which tab shows the desktop, and the word the server gets when that tab goes away.
import { csrfToken } from "../api.js";
import { pause } from "../dom.js";

/** One owner among this browser's tabs; `on.taken` hears that another tab took over. */
export function startPresence(id, on) {
  const channel = new BroadcastChannel("axonos-desktop");
  const me = crypto.randomUUID();
  let owner = false;
  let answered = false;
  const say = (word) => channel.postMessage({ word, id, from: me });

  channel.onmessage = ({ data }) => {
    if (data.id !== id || data.from === me) return;
    if (data.word === "who" && owner) say("here");
    if (data.word === "here") answered = true;
    if (data.word === "take" && owner) {
      owner = false;
      on.taken();
    }
  };

  // A reload comes back within the server's window; a closed tab does not, and that ends the session.
  addEventListener("pagehide", () => {
    if (!owner) return;
    const body = new Blob([JSON.stringify({ csrf_token: csrfToken() })], { type: "application/json" });
    navigator.sendBeacon(`/api/v1/sessions/${id}/close`, body);
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  return {
    own() { owner = true; },
    leave() { owner = false; },
    take() { say("take"); },
    async elsewhere() {
      say("who");
      await pause(250);
      return answered;
    },
  };
}
