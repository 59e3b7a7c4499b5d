// Talking to the API: one function, and a wire that others may listen on.

const KEY = "windowshop.key";
const STORE = new URLSearchParams(location.search).get("store"); // another shop of this home: /?store=name

/** Dispatches "call" with {method, path, status, ms, request, answer} for every answer. */
export const wire = new EventTarget();

/** A call that failed; `status` 0 means that nobody answered. */
export class Problem extends Error {
  constructor(status, answer, retryAfter) {
    super(answer?.detail || answer?.title || `The server answered ${status}.`);
    this.status = status;
    this.code = answer?.code ?? "unknown";
    this.flaws = (answer?.errors ?? []).map((flaw) => `${flaw.pointer} ${flaw.detail}`);
    this.retryAfter = Number(retryAfter) || null; // seconds
    this.passing = [0, 429, 500, 502, 503, 504].includes(status) || this.code === "not_ready"; // worth another try
  }
}

// Without storage (private windows, strict settings) things are remembered until the page closes.
const memory = new Map();
function shelf(which) {
  try {
    return window[which];
  } catch {
    return null;
  }
}
export const stored = {
  get(which, name) {
    try {
      return shelf(which)?.getItem(name) ?? memory.get(name) ?? null;
    } catch {
      return memory.get(name) ?? null;
    }
  },
  set(which, name, value) {
    if (value === null) memory.delete(name);
    else memory.set(name, value);
    try {
      if (value === null) shelf(which)?.removeItem(name);
      else shelf(which)?.setItem(name, value);
    } catch {
      // kept in memory
    }
  },
};

export const key = () => stored.get("sessionStorage", KEY);
export const setKey = (value) => stored.set("sessionStorage", KEY, value || null);

function headers(type) {
  const all = { accept: "application/json" };
  if (type) all["content-type"] = type;
  if (key()) all.authorization = `Bearer ${key()}`;
  else if (STORE) all["windowshop-store"] = STORE;
  return all;
}

/** The decoded answer and how long it took: {data, ms}. Raises Problem. */
export async function call(method, path, body) {
  const started = performance.now();
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers: headers(body && "application/json"),
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(20_000),
    });
    text = await response.text();
  } catch (error) {
    const late = error.name === "TimeoutError";
    const detail = late ? "The API did not answer within 20 seconds." : "The API does not answer. Is `windowshop serve` still running?";
    wire.dispatchEvent(new CustomEvent("call", { detail: { method, path, status: 0, ms: performance.now() - started, request: body, answer: detail } }));
    throw new Problem(0, { code: "unreachable", detail });
  }
  const ms = performance.now() - started;
  let answer = text;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    // not JSON: shown as it is
  }
  wire.dispatchEvent(new CustomEvent("call", { detail: { method, path, status: response.status, ms, request: body, answer } }));
  if (!response.ok) throw new Problem(response.status, answer, response.headers.get("retry-after"));
  return { data: answer, ms };
}

/** The last word of a page that goes away. A beacon cannot carry a key, and a URL should not. */
export function farewell(path, body) {
  const text = JSON.stringify(body);
  if (!key() && !STORE && navigator.sendBeacon?.(path, text)) return;
  fetch(path, { method: "POST", headers: headers("text/plain"), body: text, keepalive: true }).catch(() => {});
}
