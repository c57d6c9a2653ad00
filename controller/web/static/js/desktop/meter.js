// The footer: time run, time left, burn rate. It ticks here between heartbeats; the server's answers correct it.
import { get, post } from "../api.js";
import { $, clock, duration } from "../dom.js";

const WARN_MS = 30 * 60000;
const SILENT_MS = 20000;
const OVER = new Set(["ending", "ended", "failed"]);

/** `as` says which tab beats, and whether it only looks. */
export function startMeter(root, session, as, on) {
  const path = `sessions/${session.id}/heartbeat`;
  let meter = null;
  let offsetMs = 0;
  let ready = session.ready_at_ms;
  let graceUntil = session.grace_until_ms;
  let stopped = false;
  const serverNow = () => Date.now() + offsetMs;

  async function beat() {
    if (stopped) return;
    try {
      const before = meter?.state;
      meter = await post(path, as);
      offsetMs = meter.server_now_ms - Date.now();
      if (OVER.has(meter.state)) { on.gone(); return; }
      if (!ready || (before && before !== meter.state)) await refresh();
      on.watched(meter.watched && !as.view_only);
    } catch (error) {
      if (error.code === "shown_elsewhere") { on.taken(); return; }
      if (["not_found", "wrong_state", "sign_in_needed"].includes(error.code)) { on.gone(); return; }
    }
    show();
  }

  async function refresh() {
    const { session: live } = await get("sessions/current");
    ready = live?.ready_at_ms ?? ready;
    graceUntil = live?.grace_until_ms ?? null;
  }

  function leftMs() {
    return Math.max(0, meter.balance_gpu_ms / meter.burn_rate - (serverNow() - meter.server_now_ms));
  }

  function show() {
    if (stopped) return;
    $("#timer").textContent = ready ? clock(serverNow() - ready) : "--:--:--";
    if (!meter) return;
    const paused = meter.state === "grace";
    $("#lamp").classList.toggle("on", !paused);
    $("#burn").textContent = paused ? "billing paused" : `${meter.burn_rate}× burn`;
    $("#left").textContent = paused ? `${duration((graceUntil ?? serverNow()) - serverNow())} of grace left` : `${duration(leftMs())} left`;
    warn(paused);
  }

  /** How long the GPUs are guaranteed still, once that is worth a word. */
  function guaranteeEnds(paused) {
    if (!meter.guaranteed_until_ms) return null;
    const ends = Math.max(0, meter.guaranteed_until_ms - serverNow());
    const other = paused ? (graceUntil ?? serverNow()) - serverNow() : leftMs();
    return ends <= WARN_MS ? { leftMs: ends, first: ends <= other } : null;
  }

  /** Both ends where both are near, the nearer first: topping up helps against one of them only. */
  function ends(taken, paused) {
    const guarantee = taken && `Your GPUs are guaranteed for ${duration(taken.leftMs)} more; then this session ends if an earlier request still needs them. Save your work, your files are kept. `;
    const balance = paused ? "Your balance ran out. Billing is paused; the desktop stops when the grace time is over. " : meter.low_balance ? `About ${duration(leftMs())} left at this burn rate. ` : null;
    return { balance, said: (taken?.first ? [guarantee, balance] : [balance, guarantee]).filter(Boolean).join("") };
  }

  function warn(paused) {
    const low = $("#low");
    const taken = guaranteeEnds(paused);
    const idle = !paused && meter.idle_ends_at_ms;
    const silent = meter.silent_ms > SILENT_MS;
    low.hidden = !(taken || paused || idle || silent || meter.low_balance);
    if (low.hidden) return;
    if (silent) {
      low.classList.add("critical");
      low.dataset.text = "";
      low.replaceChildren(`The GPU host has not answered for ${duration(meter.silent_ms)}. That time is not billed. If it comes back you go on here; if not, the session ends and your files are kept.`);
      return;
    }
    if (idle && !(taken?.first && taken.leftMs < idle - serverNow())) {
      low.classList.add("critical");
      low.dataset.text = "";
      low.replaceChildren(`Nothing happens here: no input, and CPU, GPU and disks are idle. The desktop ends in ${duration(idle - serverNow())}, its files are kept. Move the mouse over it to keep it.`);
      return;
    }
    const { balance, said } = ends(taken, paused);
    low.classList.toggle("critical", paused || Math.min(taken?.leftMs ?? Infinity, leftMs()) < 180000);
    if (low.dataset.text === said) return;
    low.dataset.text = said;
    low.replaceChildren(said);
    if (balance) low.append(Object.assign(document.createElement("a"), { href: "/launch#top-up", target: "_blank", rel: "noopener", textContent: "Top up in a new tab" }));
  }

  const beats = setInterval(beat, Number(root.dataset.heartbeatS) * 1000);
  const ticks = setInterval(show, 500);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });
  beat();
  return { beat, stop() { stopped = true; clearInterval(beats); clearInterval(ticks); } };
}
