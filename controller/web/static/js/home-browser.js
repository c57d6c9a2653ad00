// Browsing a home: folders, downloads, uploads, over one connection to the home's host.
import { $, ask, h, toast } from "./dom.js";
import { openHome } from "./home-link.js";

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);
let path = [];
let shown = false;
let busy = false;

/** Show the browser while the home is there; the first time it lists the top folder. */
export function showBrowser(there) {
  $("#browser").hidden = !there;
  if (there && !shown) go([]);
  shown = there;
}

const at = (name) => `/${[...path, name].filter(Boolean).join("/")}`;

/** One thing at a time: requests share a connection. */
async function alone(action) {
  if (busy) { toast("One moment: something is still on its way."); return; }
  busy = true;
  try {
    await action(await openHome());
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    busy = false;
    $("#progress").textContent = "";
  }
}

const go = (to) => alone(async (home) => { path = to; await list(home); });

async function list(home) {
  const { entries, more } = await home.list(at(""));
  entries.sort((a, b) => (b.kind === "folder") - (a.kind === "folder") || a.name.localeCompare(b.name));
  const crumbs = path.map((name, n) => [" / ", h("button", { class: "link", onclick: () => go(path.slice(0, n + 1)) }, name)]);
  $("#path").replaceChildren(h("button", { class: "link", onclick: () => go([]) }, "Home"), ...crumbs.flat());
  const rows = entries.map((e) => h("li", {}, opener(e), h("span", { class: "faint" }, e.kind === "file" ? size(e.size) : e.kind), h("button", { class: "link", "aria-label": `Delete ${e.name}`, onclick: () => remove(e) }, "Delete")));
  $("#entries").replaceChildren(...rows, ...(more ? [h("li", {}, "There is more than is shown here.")] : []), ...(rows.length ? [] : [h("li", { class: "faint" }, "Empty.")]));
}

function opener(entry) {
  if (entry.kind === "folder") return h("button", { class: "link", onclick: () => go([...path, entry.name]) }, `${entry.name}/`);
  if (entry.kind === "file") return h("button", { class: "link", title: "Download", onclick: () => fetchAll((home) => home.read(at(entry.name), progress(entry.size)), entry.name) }, entry.name);
  return h("span", {}, entry.name);
}

const progress = (whole) => (done) => { $("#progress").textContent = whole ? `${size(done)} of ${size(whole)}` : size(done); };

const fetchAll = (read, name) => alone(async (home) => {
  const link = h("a", { href: URL.createObjectURL(await read(home)), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

async function remove(entry) {
  const what = entry.kind === "folder" ? "the folder and all that is in it" : "the file";
  if (await ask(`Delete "${entry.name}"?`, `Deletes ${what}. There is no way back, but a snapshot.`, "Delete")) {
    alone(async (home) => { await home.ask({ op: "remove", path: at(entry.name) }); await list(home); });
  }
}

$("#new-folder").addEventListener("click", () => {
  const name = globalThis.prompt("Name of the new folder")?.trim();
  if (name) alone(async (home) => { await home.ask({ op: "mkdir", path: at(name) }); await list(home); });
});
$("#archive").addEventListener("click", () => fetchAll((home) => home.archive(at(""), progress(0)), `${path.at(-1) ?? "home"}.tar`));
$("#upload").addEventListener("change", (event) => {
  const files = [...event.target.files];
  alone(async (home) => {
    for (const file of files) await home.write(at(file.name), file, progress(file.size));
    toast(files.length === 1 ? "Uploaded." : `${files.length} files uploaded.`);
    await list(home);
  }).finally(() => { event.target.value = ""; });
});
