// What is ahead: the GPUs over time, and what a claim of the chosen profile would get.
import { get } from "./api.js";
import { state, wantedModel } from "./state.js";

const EVERY_MS = 10000;

/** Look again if it is time, or `now` because something else is chosen; only where it can be seen. */
export async function lookAhead(now = false) {
  const { profile, session } = state;
  if (!state.me || (session && session.state !== "queued") || (!now && Date.now() - state.lookedAt < EVERY_MS)) return;
  state.lookedAt = Date.now();
  const [gpus, outlook] = await Promise.all([get("queue"), session ? null : get(`queue/outlook?${new URLSearchParams({ profile, gpu_model: wantedModel() })}`)]);
  Object.assign(state, { gpus, outlook });
}

/** What the launch button sends along: a bounded start, where its owner chose the one that is still offered. */
export function accepted(profile) {
  const { acceptUntil, outlook } = state;
  return acceptUntil && outlook?.profile === profile && outlook.gpu_model === wantedModel() && outlook.offer_until_ms === acceptUntil ? { accept_bounded: true, accept_until_ms: acceptUntil } : {};
}
