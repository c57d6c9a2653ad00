// The key list: public SSH keys by name; whoever holds one may log in to the wallet's shells.
import { get, post, whoAmI } from "./api.js";
import { $, ask, h, toast } from "./dom.js";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

async function refresh() {
  const { keys } = await get("ssh-keys");
  $("#key-list").replaceChildren(...(keys.length ? keys.map(line) : [h("p", { class: "empty" }, "No key yet. Without one no shell can be started.")]));
}

async function change(action, said) {
  try {
    await action();
    toast(said);
    await refresh();
    return true;
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
}

function line(key) {
  const field = h("input", { type: "text", value: key.name, maxlength: 60, required: true, "aria-label": `Name of key ${key.fingerprint}` });
  const rename = (event) => { event.preventDefault(); change(() => post(`ssh-keys/${key.id}/rename`, { name: field.value }), "Renamed."); };
  const remove = async () => {
    if (await ask(`Remove "${key.name}"?`, "It can log in to no shell that starts from now on. One that runs keeps the keys it was started with.", "Remove")) change(() => post(`ssh-keys/${key.id}/remove`), "Removed.");
  };
  return h("form", { class: "card key", onsubmit: rename }, field,
    h("span", { class: "mono faint" }, `${key.public_key.split(" ")[0]} ${key.fingerprint}`), h("span", { class: "faint" }, `added ${day.format(key.created_at_ms)}`),
    h("p", { class: "actions" }, h("button", { class: "button quiet" }, "Rename"), h("button", { type: "button", class: "button quiet", onclick: remove }, "Remove")));
}

$("#key-add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("#key-name").value.trim();
  if (await change(() => post("ssh-keys", { public_key: $("#key-text").value, ...(name ? { name } : {}) }), "Added.")) event.target.reset();
});

whoAmI().then(refresh).catch((error) => toast(error.message, "bad"));
