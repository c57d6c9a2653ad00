// The profile picker: four cards, what each costs and how long the balance lasts, and the launch button.
import { h, duration } from "./dom.js";
import { lookAhead } from "./ahead.js";
import { launchClick } from "./claims.js";
import { draw, refresh } from "./page.js";
import { outlook } from "./queue-panel.js";
import { state, wantedModel } from "./state.js";

export function picker(asSecondChoice) {
  const list = state.profiles;
  const wanted = list.find((profile) => profile.name === state.profile);
  const chosen = wanted && (wanted.possible || !state.me) ? wanted : list.find((profile) => profile.possible) || wanted || list[0];
  if (!chosen) return null;
  return h("form", { class: "launch-bar", onsubmit: (event) => { event.preventDefault(); launchClick(chosen.name, false, state.kind); } },
    asSecondChoice ? h("h2", {}, "Or choose another profile") : null,
    h("fieldset", { class: "profiles" }, h("legend", {}, "GPU profile"), list.map((profile) => card(profile, profile === chosen))),
    kinds(), models(),
    h("p", { class: "actions" }, h("button", { class: "button big", id: "launch", disabled: Boolean(state.busy) || !state.me || !chosen.possible || keyless() }, state.busy === "launch" ? "Claiming…" : state.kind === "ssh" ? "Launch SSH session" : "Launch GPU-Native Desktop")),
    h("p", { class: "cost" }, cost(chosen)), outlook(chosen));
}

const keyless = () => state.kind === "ssh" && state.keys.length === 0;

/** A desktop in the browser, or a shell: same GPUs, same price, same files. */
function kinds() {
  const option = (kind, text) => h("label", {}, h("input", { type: "radio", name: "kind", id: `kind-${kind}`, value: kind, checked: state.kind === kind, onchange: () => choose(kind) }), text);
  const list = h("a", { href: "/keys" }, state.keys.length ? `${state.keys.length} SSH key${state.keys.length > 1 ? "s" : ""} may log in` : "Add an SSH key first");
  return h("fieldset", { class: "kinds" }, h("legend", { class: "unseen" }, "Kind of session"), option("desktop", "Desktop in the browser"), option("ssh", "Shell over SSH"), state.kind === "ssh" && state.me ? list : null);
}

/** Which GPUs: asked only where hosts differ. All cost the same; what is free now is said beside each. */
function models() {
  if (state.gpuModels.length < 2) return null;
  const free = ({ free, gpus, usd_per_gpu_hour_text: price }) => h("span", { class: "sub" }, ` ${free} of ${gpus} free, ${price} per GPU and hour`);
  const option = (model, id, ...text) => h("label", {}, h("input", { type: "radio", name: "gpu-model", id, value: model, checked: wantedModel() === model, onchange: () => chooseModel(model) }), text);
  return h("fieldset", { class: "kinds models" }, h("legend", {}, "GPU model"), option("", "gpu-any", "Any, whatever is free first"),
    state.gpuModels.map((one, index) => option(one.model, `gpu-${index}`, h("span", {}, one.model, free(one)))));
}

function chooseModel(model) {
  Object.assign(state, { gpuModel: model, outlook: null, acceptUntil: null, lookedAt: 0 });
  localStorage.setItem("axonos.gpu", model);
  refresh().catch(() => draw());
}

function choose(kind) {
  state.kind = kind;
  localStorage.setItem("axonos.kind", kind);
  refresh().catch(() => draw());
}

function card(profile, checked) {
  const pick = () => { state.profile = profile.name; draw(); lookAhead(true).then(draw, () => {}); };
  const lasts = !state.me || profile.lasts_minutes === null ? "" : short(profile) ? `, needs ${profile.gpus} min of credit` : `, lasts ${duration(profile.lasts_minutes * 60000)}`;
  return h("label", { class: "profile", "data-profile": profile.name },
    h("input", { type: "radio", name: "profile", id: `profile-${profile.name}`, value: profile.name, checked, disabled: impossible(profile), onchange: pick }),
    h("span", { class: "profile-head" }, h("strong", {}, profile.title), h("span", { class: "num" }, `${profile.usd_per_hour_text} / h`)),
    h("span", { class: "pips", "aria-hidden": "true" }, Array.from({ length: 8 }, (_, index) => h("i", { class: index < profile.gpus ? "on" : "" }))),
    h("p", {}, `${profile.gpus} GPU${profile.gpus > 1 ? "s" : ""}, burns ${profile.burn_rate}×${lasts}`),
    h("p", {}, profile.good_for),
    profile.waiting && state.kind === "desktop" ? h("p", { class: "at-once" }, "A desktop is waiting: starts at once") : null,
    impossible(profile) ? h("p", { class: "why-not" }, profile.why_not) : null);
}

// Too little credit can change at any moment, so those cards stay selectable; what no host can hold does not.
const short = (profile) => Boolean(state.me) && state.me.balance.available_gpu_ms < 60000 * profile.gpus;
const impossible = (profile) => !profile.possible && !short(profile);

function cost(profile) {
  const price = [h("strong", {}, `${profile.usd_per_hour_text} per hour`), ` · ${profile.burn_rate} min of credit per minute`];
  if (!state.me) return [...price, " · connect your wallet to launch"];
  if (!profile.possible) return [...price, ` · ${profile.why_not}`];
  return [...price, " · your balance lasts ", h("strong", {}, duration((profile.lasts_minutes ?? 0) * 60000)), ". The clock starts when it is ready."];
}
