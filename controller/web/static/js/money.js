// Amounts of tokens and what they buy, in whole numbers (BigInt) only. What is shown before a quote is worked
// out here from the server's rates; what counts is always the server's quote or the deposit's own block.

const SYMBOL = { eth: "ETH", usdc: "USDC", axgt: "AXGT" };
export const symbol = (rail) => SYMBOL[rail.toLowerCase()] || rail.toUpperCase();

/** A typed decimal in a token's smallest unit, exactly; null for anything that is none, or has too many decimals. */
export function parseAmount(text, decimals) {
  const found = /^\s*(\d{0,60})(?:[.,](\d*))?\s*$/.exec(text);
  if (!found || !(found[1] || found[2])) return null;
  const fraction = (found[2] || "").replace(/0+$/, "");
  if (fraction.length > decimals) return null;
  return BigInt((found[1] || "0") + fraction.padEnd(decimals, "0"));
}

const one = (row) => 10n ** BigInt(row.decimals);

/** GPU-milliseconds that an amount brings at the row's rate, floored; null while there is no rate. */
export const worth = (row, amount) => (row.gpu_ms_per_unit_text === null ? null : Number((amount * BigInt(row.gpu_ms_per_unit_text)) / one(row)));

/** About the amount for so many GPU-hours, six digits of it; never below the row's minimum. */
export function amountFor(row, hours) {
  const rate = BigInt(row.gpu_ms_per_unit_text || "0");
  if (!rate) return null;
  const exact = (BigInt(hours) * 3600000n * one(row) + rate - 1n) / rate;
  const step = 10n ** BigInt(Math.max(exact.toString().length - 6, 0));
  const readable = ((exact + step - 1n) / step) * step;
  return readable < BigInt(row.minimum) ? BigInt(row.minimum) : readable;
}

/** Minutes of one GPU with one decimal, cut. */
export const minutesText = (gpuMs) => `${Math.trunc(gpuMs / 60000).toLocaleString("en")}.${Math.trunc(gpuMs / 6000) % 10}`;
