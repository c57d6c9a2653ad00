// What the launch page knows. Everything on it reads this; `page.js` refreshes it.
export const state = {
  config: null, me: null, rates: null, profiles: [], deposits: [], session: null, saved: null,
  profile: localStorage.getItem("axonos.profile") || "small",
  gpuModels: [], gpuModel: localStorage.getItem("axonos.gpu") || "",
  kind: localStorage.getItem("axonos.kind") === "ssh" ? "ssh" : "desktop", keys: [],
  // The payment panel: forced open or shut, the row with other amounts, what is typed, what is being sent, what went wrong.
  paying: location.hash === "#top-up" || null, open: "", typed: {}, typedHash: "", sending: null, problem: null, sent: [],
  // The queue: the GPUs over time, what a claim would get, when that was looked at, the bounded start that is chosen.
  gpus: null, outlook: null, lookedAt: 0, acceptUntil: null, waited: "",
  busy: "", offsetMs: 0, opening: sessionStorage.getItem("axonos.opening") || "", stale: false,
};
export const now = () => Date.now() + state.offsetMs;

/** The GPU model that is chosen, where hosts still have it; empty for any. */
export const wantedModel = () => (state.gpuModels.length > 1 && state.gpuModels.some((one) => one.model === state.gpuModel) ? state.gpuModel : "");

/** Whether the balance does not cover a minute of the smallest profile. */
export const tooLow = () => Boolean(state.me) && state.me.balance.available_gpu_ms < 60000 * (state.profiles[0]?.gpus ?? 1);

/** How far a top-up could keep the session that runs, where a promise to somebody else limits that; else null. */
export const limitMs = () => (["running", "grace", "starting"].includes(state.session?.state) ? state.session.guarantee?.stay_until_ms ?? null : null);
