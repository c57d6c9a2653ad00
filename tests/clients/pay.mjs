// One stock client, unmodified, pays for a shell: node pay.mjs v2|v1 URL PRIVATE_KEY BODY
import { privateKeyToAccount } from "viem/accounts";
import { createWalletClient, http } from "viem";
import { baseSepolia } from "viem/chains";

const [version, url, key, body] = process.argv.slice(2);
const account = privateKeyToAccount(key);

async function client() {
  if (version === "v2") {
    const { wrapFetchWithPayment, x402Client } = await import("@x402/fetch");
    const { registerExactEvmScheme } = await import("@x402/evm/exact/client");
    const made = new x402Client();
    registerExactEvmScheme(made, { signer: account });
    return wrapFetchWithPayment(fetch, made);
  }
  const { wrapFetchWithPayment } = await import("x402-fetch");
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http("http://127.0.0.1:9") });
  return wrapFetchWithPayment(fetch, wallet);
}

const pay = await client();
const answer = await pay(url, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body,
});
const receipt = answer.headers.get(version === "v2" ? "PAYMENT-RESPONSE" : "X-PAYMENT-RESPONSE");
console.log(JSON.stringify({ status: answer.status, receipt, given: await answer.json() }));
