// The site's JSON API: one error type, and the CSRF token on every state change.

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message || "The site does not answer. Try again in a moment.");
    this.status = status;
    this.code = error.code || "unreachable";
    this.retry = Boolean(error.retry);
    this.detail = error;
  }
}

let token = "";
// The server wrote into the page whether somebody is signed in; nobody is not worth a request that fails.
let signedIn = document.body.dataset.signedIn === "yes";
export const csrfToken = () => token;
export const setCsrfToken = (value) => { token = value || ""; signedIn = Boolean(value); };

// Reading, and steps of a session, may be asked again when an answer got lost on the way.
const REPEATABLE = /^GET |\/sessions\/[^/]+\//;

async function patiently(ask, tries) {
  try {
    return await ask();
  } catch {
    if (tries <= 1) throw new ApiError(0, { retry: true });
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  return patiently(ask, tries - 1);
}

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") Object.assign(headers, { "Content-Type": "application/json", "X-CSRF-Token": token });
  const options = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin" };
  const response = await patiently(() => fetch(path, options), REPEATABLE.test(`${method} ${path}`) ? 3 : 1);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer.error || {});
  return answer;
}

export const get = (path) => call("GET", `/api/v1/${path}`);
export const post = (path, body = {}) => call("POST", `/api/v1/${path}`, body);

/** Who is signed in, or null; remembers the CSRF token. */
export async function whoAmI() {
  if (!signedIn) return null;
  try {
    const me = await get("me");
    setCsrfToken(me.csrf_token);
    return me;
  } catch (error) {
    if (error.status === 401) { setCsrfToken(""); return null; }
    throw error;
  }
}
