// API tokens: made here, shown once, taken back here.
import { get, post, whoAmI } from "./api.js";
import { $, ask, h, toast } from "./dom.js";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

async function refresh() {
  const { tokens, scopes } = await get("tokens");
  $("#token-list").replaceChildren(...(tokens.length ? tokens.map(line) : [h("p", { class: "empty" }, "No token yet.")]));
  if ($("#token-scopes").children.length === 0) $("#token-scopes").append(...Object.entries(scopes).map(choice));
}

function choice([name, what]) {
  return h("label", { class: "scope" }, h("input", { type: "checkbox", name: "scope", value: name }), h("span", {}, h("code", {}, name), ` ${what}.`));
}

function line(token) {
  const revoke = async () => {
    if (!await ask(`Take back "${token.name}"?`, "Whatever uses it is refused from now on.", "Take back")) return;
    await post(`tokens/${token.id}/revoke`).then(() => toast("Taken back."), (error) => toast(error.message, "bad"));
    await refresh();
  };
  const over = token.expires_at_ms <= Date.now();
  return h("article", { class: "card key" }, h("strong", {}, token.name), h("span", { class: "mono faint" }, token.scopes.join(", ")),
    h("span", { class: "faint" }, `made ${day.format(token.created_at_ms)}, ${over ? "ran out" : "good until"} ${day.format(token.expires_at_ms)}, `,
      token.last_used_at_ms ? `last used ${day.format(token.last_used_at_ms)}` : "never used"),
    h("p", { class: "actions" }, h("button", { type: "button", class: "button quiet", onclick: revoke }, "Take back")));
}

/** The one time that a token's text is seen. */
function show(token) {
  const copy = () => navigator.clipboard.writeText(token).then(() => toast("Copied."), () => getSelection().selectAllChildren($("#token-text")));
  $("#token-made").hidden = false;
  $("#token-made").replaceChildren(h("strong", {}, "Copy it now: it is not shown again."), " ",
    h("button", { type: "button", class: "link", id: "token-copy", onclick: copy }, "Copy"), h("pre", { class: "mono", id: "token-text", tabindex: "0" }, token));
}

$("#token-add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const scopes = [...event.target.querySelectorAll("[name=scope]:checked")].map((box) => box.value);
  try {
    const made = await post("tokens", { name: $("#token-name").value, scopes, days: Number($("#token-days").value) });
    event.target.reset();
    show(made.token);
    await refresh();
  } catch (error) {
    toast(error.message, "bad");
  }
});

whoAmI().then(refresh).catch((error) => toast(error.message, "bad"));
