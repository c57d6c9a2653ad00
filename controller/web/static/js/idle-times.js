// After how long without use a desktop ends: a few times to pick from, for one desktop or for all of a wallet's.
import { h } from "./dom.js";
import { state } from "./state.js";

const TIMES = [[0, "Never"], [30, "After 30 min"], [120, "After 2 h"], [720, "After 12 h"]];

/** What `state.busy` is called while a choice is on its way. */
export const choosing = (minutes) => `idle-${minutes}`;

/** `kept` minutes are marked, also where a program chose others, or those on their way; `pick` is called with new ones. */
export function idleTimes(legend, kept, pick) {
  const chosen = TIMES.map(([minutes]) => minutes).find((minutes) => state.busy === choosing(minutes)) ?? kept;
  const times = TIMES.some(([minutes]) => minutes === chosen) ? TIMES : [...TIMES, [chosen, `After ${chosen} min`]];
  const option = ([minutes, text]) => h("label", {}, h("input", { type: "radio", name: "idle", id: `idle-${minutes}`, checked: minutes === chosen, disabled: Boolean(state.busy), onchange: () => pick(minutes) }), text);
  return h("fieldset", { class: "kinds", title: "No input, and CPU, GPU, disks and network are idle: all of them together. You are told first." }, h("legend", {}, legend), times.map(option));
}
