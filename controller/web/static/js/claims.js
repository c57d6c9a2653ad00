// Claiming a session, as the launch page does it.
import { accepted } from "./ahead.js";
import { get, post } from "./api.js";
import { pause, toast } from "./dom.js";
import { doing, remember } from "./page.js";
import { state, wantedModel } from "./state.js";

/** End what runs, then start with clean settings. */
export async function endThenFresh(session) {
  await post(`sessions/${session.id}/end`);
  for (let tries = 0; tries < 80 && (await get("sessions/current")).session; tries += 1) await pause(500);
  await claim(session.profile, true, "desktop", session.gpu_model);
}

async function claim(profile, freshStart, kind = "desktop", gpuModel = wantedModel()) {
  const session = await post("sessions", { profile, fresh_start: freshStart, kind, gpu_model: gpuModel, ...accepted(profile) });
  localStorage.setItem("axonos.profile", profile);
  state.acceptUntil = null;
  state.opening = session.id;
  state.session = session;
}

export function launchClick(profile, freshStart = false, kind = "desktop") {
  if (!state.me) { toast("Connect your wallet first."); return; }
  doing("launch", () => claim(profile, freshStart, kind));
}

/** Leaving is instant: the page has left before the server has answered, and says so if that failed. */
export function leaveQueue(session) {
  remember("");
  state.session = null;
  doing("leave", () => post(`sessions/${session.id}/end`));
}
