// Which tab this is, and the word the server gets when the tab that works at the desktop goes away.
import { csrfToken } from "../api.js";

const KEY = "axonos.tab";

/** A tab keeps its name over a reload; a copy of the tab finds none, since the name is put away only at the end. */
function tabName() {
  const kept = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return kept || crypto.randomUUID();
}

/** Says goodbye when an owner's tab closes. */
export function startPresence(id) {
  const tab = tabName();
  let owner = false;

  // A reload comes back within the server's window; a closed tab does not, and that ends the session.
  addEventListener("pagehide", () => {
    sessionStorage.setItem(KEY, tab);
    if (!owner) return;
    const body = new Blob([JSON.stringify({ csrf_token: csrfToken(), tab })], { type: "application/json" });
    navigator.sendBeacon(`/api/v1/sessions/${id}/close`, body);
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  return { tab, own() { owner = true; }, leave() { owner = false; } };
}
