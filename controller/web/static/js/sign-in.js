// Connect and sign in: the server makes the text, the wallet signs it, the server checks it.
import { post, setCsrfToken } from "./api.js";
import { connect, sign } from "./wallet.js";

/** Resolves when the wallet is signed in; `onChange` hears of a later change of account. */
export async function signIn(wallet, onChange) {
  const { address } = await connect(wallet, onChange);
  const { message } = await post("sign-in/start", { address });
  const signature = await sign(message);
  const opened = await post("sign-in", { message, signature });
  setCsrfToken(opened.csrf_token);
  return opened;
}
