/** A plain client of the world's services, for the tests of the world itself. */
import type { ApiService, World } from "../world/index.ts";

export interface Sending {
  body?: unknown;
  key?: string;
  reference?: string;
  /** Instead of the service's own token; null sends none. */
  token?: string | null;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface Got {
  status: number;
  headers: Headers;
  body: unknown;
}

export const AIRLINE = "api.skyline.example";
export const TRIP = { from: "OSL", to: "LIS", date: "2027-03-01", traveller: "Ada" };

/** Sends a request to a host of the world, and follows no redirect. */
export function send(
  world: World,
  host: string,
  method: string,
  path: string,
  sending: Sending = {},
): Promise<Response> {
  const headers = new Headers(sending.headers);
  const token = sending.token === undefined ? world.tokens[host] : sending.token;
  if (token !== undefined && token !== null) headers.set("authorization", `Bearer ${token}`);
  if (sending.key !== undefined) headers.set("idempotency-key", sending.key);
  if (sending.reference !== undefined) headers.set("x-reference", sending.reference);
  if (sending.body !== undefined && !headers.has("content-type"))
    headers.set("content-type", "application/json");
  return fetch(`${world.origin(host)}${path}`, {
    method,
    headers,
    redirect: "manual",
    ...(sending.body === undefined
      ? {}
      : { body: typeof sending.body === "string" ? sending.body : JSON.stringify(sending.body) }),
    ...(sending.signal === undefined ? {} : { signal: sending.signal }),
  });
}

/** Sends, and reads a JSON answer (null if there is no body). */
export async function ask(
  world: World,
  host: string,
  method: string,
  path: string,
  sending: Sending = {},
): Promise<Got> {
  const response = await send(world, host, method, path, sending);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? null : (JSON.parse(text) as unknown),
  };
}

/** Books {@link TRIP}. */
export function book(world: World, sending: Sending = {}): Promise<Got> {
  return ask(world, AIRLINE, "POST", "/bookings", { body: TRIP, ...sending });
}

export const GATE = "gate.example";

/** A service that answers `POST /pass` when the test opens the gate, and makes a pass happen then. */
export function gate(): { service: ApiService; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const service: ApiService = {
    name: "gate",
    host: GATE,
    routes: [
      {
        method: "POST",
        path: "/pass",
        fields: {},
        handle: async (call) => {
          await promise;
          return { status: 201, body: { id: call.make("pass", "ps", {}).id } };
        },
      },
    ],
  };
  return { service, open: resolve };
}
