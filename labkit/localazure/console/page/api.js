// The server's own API. Addresses are relative, so that a page under /class/NAME/ asks its own student's part.

import * as key from "./key.js";

const TIMEOUT_MS = 30_000; // a query may take 20 s

/** The server answered, and it was a no. `error` is the error object of its answer. */
class Refused extends Error {
  constructor(status, error) {
    super(error.message || `The server answered with status ${status}.`);
    this.status = status;
    this.code = error.code ?? "";
    this.error = error;
  }

  /** True when another key is needed. */
  get isAboutKey() {
    return this.status === 401 || (this.status === 403 && this.code === "KeyWrong");
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

/** The JSON document that `labkit/PATH` answers; `Refused` or `Unreachable` when it does not. */
export async function ask(path, { method = "GET", document } = {}) {
  const answer = await reach(`labkit/${path}`, method, document);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.error ?? {});
  return body;
}

async function reach(url, method, document) {
  if (/[^\x21-\x7e]/.test(key.current())) throw new Refused(403, { code: "KeyWrong" }); // no header can hold it
  const headers = { "x-labkit-key": key.current() };
  const options = { method, headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (document !== undefined) {
    headers["content-type"] = "application/json";
    options.body = JSON.stringify(document);
  }
  try {
    return await fetch(url, options);
  } catch (cause) {
    throw new Unreachable("The server does not answer.", { cause });
  }
}
