// The files page: what the home takes up and costs, its snapshots, what happened to it, and its end.
import { get, post, whoAmI } from "./api.js";
import { $, ask, h, minutes, toast } from "./dom.js";
import { draw } from "./drawing.js";
import { showBrowser } from "./home-browser.js";

const LOOK_MS = 2500;
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const gb = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
const WORK = { snapshot: "A snapshot is being made …", drop: "A snapshot is being deleted …", restore: "Your files are being returned …", prune: "Your files are being put away …", recover: "Your files are being brought back …", delete: "Your files are being deleted …" };
const EVENTS = { warned: "Warned: the balance runs out for storage", warning_over: "Topped up: the warning is over", prune: "Put away for storage debt", recover: "Brought back", delete: "Deleted", snapshot: "Snapshot made", restore: "Returned to a snapshot", prune_failed: "Could not be put away", recover_failed: "Could not be brought back", delete_failed: "Could not be deleted", snapshot_failed: "A snapshot could not be made", restore_failed: "Could not be returned to a snapshot", drop_failed: "A snapshot could not be deleted" };

let me = null;

async function refresh() {
  const { home } = await get("home");
  const none = !home || home.state === "gone";
  draw($("#home"), home, () => (none ? h("p", { class: "empty" }, "No files yet. They come with your first session.") : overview(home)));
  draw($("#snapshots"), [home?.snapshots, home?.state, home?.under_way, home?.has_session], () => snapshots(home, none));
  draw($("#told"), home?.events, () => events(home?.events ?? []));
  $("#danger").hidden = none || !["live", "pruned"].includes(home.state);
  showBrowser(!none && home.state === "live");
}

function overview(home) {
  const days = lasting(home.days_left);
  const facts = [
    ["Cost", `${(home.per_day_gpu_ms / 60000).toFixed(2)} minutes a day`], ["Charged", home.billed === "always" ? "always" : "while no session runs"],
    ["Balance", `${minutes(home.balance_gpu_ms)} minutes`], ["Lasts, by storage alone", days], ["Counted", home.is_shared ? "some ten minutes apart" : moment.format(home.measured_at_ms)]];
  return [h("h2", {}, home.quota_bytes ? `${gb(home.bytes_used)} of ${gb(home.quota_bytes)}` : gb(home.bytes_used)),
    home.quota_bytes ? h("meter", { min: 0, max: home.quota_bytes, high: home.quota_bytes * 0.9, value: home.bytes_used, "aria-label": "How full your home is" }) : null,
    ...notes(home), h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))];
}

function lasting(days) {
  if (days === null) return "for ever";
  return days > 3650 ? "over ten years" : `${days} day${days === 1 ? "" : "s"}`;
}

function notes(home) {
  const found = [];
  if (home.under_way) found.push(h("p", { role: "status" }, WORK[home.under_way] ?? ""));
  if (home.state === "pruned") {
    found.push(h("p", { class: "bad" }, `Your files were put away for storage. They are kept until ${moment.format(home.recovery_until_ms)}; top up, and they come back by themselves.`),
      h("p", { class: "actions" }, h("button", { class: "button", onclick: () => change(() => post("home/recover"), "Being brought back.") }, "Bring back"), h("a", { class: "button quiet", href: "/launch" }, "Top up")));
  } else if (home.warned_at_ms) {
    found.push(h("p", { class: "bad" }, `The balance lasts ${lasting(home.days_left)} more for storage. At ${minutes(home.floor_gpu_ms)} minutes your files are put away, not before ${moment.format(home.prune_at_ms)}. Top up, or delete what you do not need.`));
  }
  return found;
}

function snapshots(home, none) {
  if (home && !home.snapshots_most) return [h("h2", {}, "Snapshots"), h("p", { class: "faint" }, "None are kept here: what you delete or overwrite cannot be brought back.")];
  const head = h("div", { class: "row" }, h("h2", {}, "Snapshots"), none ? null : h("button", { class: "button quiet", disabled: home.state !== "live" || Boolean(home.under_way), onclick: take }, "Take one now"));
  const kept = home?.snapshots ?? [];
  const list = kept.map((one) => h("li", { "data-snapshot": one.name }, h("span", {}, moment.format(one.created_at_ms), one.why ? h("span", { class: "faint" }, ` ${one.why}`) : null),
    h("button", { class: "link", disabled: home.has_session || home.state !== "live", title: home.has_session ? "End your session first" : null, onclick: () => restore(one) }, "Return to it"),
    h("button", { class: "link", onclick: () => drop(one) }, "Delete")));
  const empty = h("p", { class: "faint" }, "None yet. A snapshot keeps your files as they are now; only what changes later takes room.");
  return [head, kept.length ? h("ul", {}, list) : empty, none ? null : h("p", { class: "faint" }, `${kept.length} of ${home.snapshots_most}`)];
}

const take = () => change(() => post("home/snapshots", {}), "Being made.");

async function restore(one) {
  if (await ask("Return to this snapshot?", `Your files become what they were on ${moment.format(one.created_at_ms)}. What they are now is kept as another snapshot.`, "Return")) change(() => post(`home/snapshots/${one.name}/restore`), "Being returned.");
}

async function drop(one) {
  if (await ask("Delete this snapshot?", "There is no way back.", "Delete")) change(() => post(`home/snapshots/${one.name}/delete`), "Being deleted.");
}

function events(found) {
  const line = (e) => h("li", {}, h("span", {}, EVENTS[e.event] ?? e.event), h("span", { class: "faint" }, moment.format(e.at_ms)));
  return [h("h2", {}, "What happened"), found.length ? h("ul", {}, found.map(line)) : h("p", { class: "faint" }, "Nothing yet.")];
}

async function change(action, said) {
  try {
    await action();
    toast(said);
    await refresh();
  } catch (error) {
    toast(error.message, "bad");
  }
}

$("#confirm").addEventListener("input", () => { $("#delete button").disabled = $("#confirm").value.trim().toLowerCase() !== me?.wallet; });
$("#delete").addEventListener("submit", async (event) => {
  event.preventDefault();
  const confirm = $("#confirm").value.trim();
  if (await ask("Delete everything?", "All files, snapshots and copies go, for good.", "Delete everything")) {
    await change(() => post("home/delete", { confirm }), "Being deleted.");
    event.target.reset();
    $("#delete button").disabled = true;
  }
});

whoAmI().then((found) => { me = found; return refresh(); }).catch((error) => toast(error.message, "bad"));
setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, LOOK_MS);
