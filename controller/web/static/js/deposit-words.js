// What a deposit's state is called, and what to say beside it. Pure; the server says which state it is.

// States that may still change by themselves.
export const OPEN = new Set(["seen", "confirming", "price_pending", "orphaned", "waiting", "transaction_unknown", "unknown"]);
export const LINE = {
  waiting: ["Sent, not mined yet", ""], seen: ["Pending", ""], confirming: ["Pending", ""], price_pending: ["Waiting for a price", "warn"],
  credited: ["Credited", ""], final: ["Credited, final", ""], orphaned: ["The chain took it back; watching", "warn"],
  below_min: ["Below the minimum, kept", "warn"], unattributed: ["Payer unclear; the operator sees it", "warn"],
  wrong_asset: ["Not accepted here", "bad"], reversed: ["Reversed with the chain", "bad"], returned: ["Sent back by the operator", ""],
  replaced: ["Replaced by another transaction", "warn"], dropped: ["Dropped by the network", "warn"],
  transaction_failed: ["Failed on the chain", "bad"], not_to_revenue_wallet: ["Pays nothing to this site", "bad"],
  unsupported_token: ["Unsupported token", "bad"], transaction_unknown: ["Not known on the chain yet", "warn"], unknown: ["Not known on the chain yet", "warn"],
};

// What the line's own title and figures say already.
const SAID = [/ ?Pending: \d+ of \d+ confirmations\.$/, /^Credited: [\d.]+ minutes for [\d.]+ [A-Z]+\. ?/, /^Final on the chain\. ?/, /^Sent, not mined yet; /];
export const says = (view) => SAID.reduce((text, part) => text.replace(part, ""), view.message || "").replace(/^[a-z]/, (letter) => letter.toUpperCase());

// Without an amount it is in no block yet.
export const confirming = (view) => (view.state === "seen" || view.state === "confirming") && view.amount !== null;
export const word = (view) => LINE[view.state === "seen" && view.amount === null ? "waiting" : view.state] || [view.state, ""];
export const title = (view) => (confirming(view) && view.required ? `Pending, ${Math.min(view.confirmations, view.required)} of ${view.required}` : word(view)[0]);
