// Requests to the API of this server.

export class ApiError extends Error {
  constructor(status, error, remedy) {
    super(error);
    this.status = status;
    this.remedy = remedy;
  }
}

async function read(response) {
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  throw new ApiError(response.status, body?.error ?? `the server answered ${response.status}`, body?.remedy ?? "");
}

async function send(path, options) {
  try {
    return await read(await fetch(path, options));
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError(0, "the server does not answer", "start it again with `imf serve`");
  }
}

export function get(path, values = {}, signal = undefined) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  const query = new URLSearchParams(given);
  return send(given.length ? `${path}?${query}` : path, { signal });
}

export function post(path, body, signal = undefined) {
  return send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
}

let described = null;

export function about() {
  described ??= get("/api/about").catch((error) => { described = null; throw error; });
  return described;
}
