/** The clouds' controls over HTTP, under `/clouds` of the referee, and the client of them. */
import * as z from "zod";
import type { Question } from "../control.ts";
import { problem, type Answer, type Route } from "../http.ts";
import type { CloudCounts, CloudSettings, Exchange } from "./book.ts";
import type { Clouds } from "./index.ts";
import { isCloudName, isTokenService, type CloudName } from "./names.ts";
import { TrustEntry, type TrustInput } from "./trust.ts";

const Name = z.string().refine(isCloudName, "is no cloud of this world");
const Settings = z.strictObject({
  service: Name.optional(),
  skewMs: z.number().optional(),
  jwksCacheMs: z.number().min(0).optional(),
  refetchUnknownKid: z.boolean().optional(),
  leewayS: z.number().min(0).optional(),
  lifeS: z.int().min(1).nullable().optional(),
  saysLife: z.boolean().optional(),
});
const Arming = z.strictObject({ service: Name, code: z.string(), times: z.int().min(1).default(1) });
const Resolving = z.strictObject({ host: z.string(), port: z.int().min(1).max(65_535) });
const Page = z.strictObject({ url: z.string(), status: z.int().default(200), body: z.unknown() });
const Expiry = z.strictObject({ service: Name });

export function cloudRoutes(clouds: Clouds): Route<Question>[] {
  return [
    taking("POST", "/clouds/trust", z.array(TrustEntry), (entries) => clouds.register(...entries)),
    { method: "DELETE", path: "/clouds/trust", handle: () => done(clouds.distrust()) },
    taking("POST", "/clouds/issuers", Resolving, ({ host, port }) => clouds.resolve(host, port)),
    taking("POST", "/clouds/pages", Page, ({ url, status, body }) => clouds.publish(url, status, body)),
    taking("PATCH", "/clouds/settings", Settings, ({ service, ...changed }) =>
      clouds.change(changed as Partial<CloudSettings>, service),
    ),
    taking("POST", "/clouds/errors", Arming, ({ service, code, times }) => clouds.arm(service, code, times)),
    taking("POST", "/clouds/expire", Expiry, ({ service }) => clouds.expire(service)),
    {
      method: "GET",
      path: "/clouds/exchanges",
      handle: ({ query }) => {
        const service = query.get("service") ?? undefined;
        if (service !== undefined && service !== "gcp-iam" && !isTokenService(service))
          return problem(422, "invalid_query", "There is no such service.");
        return { status: 200, body: { items: clouds.exchanges(service) } };
      },
    },
    { method: "DELETE", path: "/clouds/exchanges", handle: () => done(clouds.forget()) },
    { method: "GET", path: "/clouds/counts", handle: () => ({ status: 200, body: clouds.counts() }) },
    {
      method: "GET",
      path: "/clouds/fetched",
      handle: () => ({ status: 200, body: { items: clouds.fetched() } }),
    },
    {
      method: "GET",
      path: "/clouds/secrets",
      handle: () => ({ status: 200, body: { items: clouds.secrets() } }),
    },
  ];
}

function done(_nothing: void): Answer {
  return { status: 204 };
}

function taking<S extends z.ZodType>(
  method: string,
  path: string,
  schema: S,
  take: (body: z.output<S>) => void,
): Route<Question> {
  return {
    method,
    path,
    handle: ({ body }) => {
      try {
        return done(take(schema.parse(body)));
      } catch (error) {
        if (error instanceof z.ZodError)
          return problem(422, "invalid_body", "The body does not fit; see errors.", {
            errors: error.issues.map((issue) => ({
              pointer: issue.path.map((part) => `/${String(part)}`).join(""),
              detail: issue.message,
            })),
          });
        if (error instanceof RangeError) return problem(409, "cloud_refuses", error.message);
        throw error;
      }
    },
  };
}

/** The same hand as {@link Clouds}, from another process. */
export interface CloudControl {
  resolve(host: string, port: number): Promise<void>;
  publish(url: string, status: number, body: unknown): Promise<void>;
  register(...entries: TrustInput[]): Promise<void>;
  change(changed: Partial<CloudSettings>, service?: CloudName): Promise<void>;
  arm(service: CloudName, code: string, times?: number): Promise<void>;
  expire(service: CloudName): Promise<void>;
  exchanges(service?: Exchange["service"]): Promise<readonly Exchange[]>;
  counts(): Promise<Readonly<Record<string, CloudCounts>>>;
  fetched(): Promise<readonly string[]>;
  forget(): Promise<void>;
  distrust(): Promise<void>;
  secrets(): Promise<readonly string[]>;
}

/** @param referee `http://127.0.0.1:PORT` of `referee.example` */
export function cloudControl(referee: string): CloudControl {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${referee}/clouds${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} /clouds${path}: ${answer.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  };
  const items = async <T>(path: string): Promise<readonly T[]> =>
    (await ask<{ items: T[] }>("GET", path)).items;
  return {
    resolve: (host, port) => ask("POST", "/issuers", { host, port }),
    publish: (url, status, body) => ask("POST", "/pages", { url, status, body }),
    register: (...entries) => ask("POST", "/trust", entries),
    change: (changed, service) =>
      ask("PATCH", "/settings", { ...changed, ...(service === undefined ? {} : { service }) }),
    arm: (service, code, times = 1) => ask("POST", "/errors", { service, code, times }),
    expire: (service) => ask("POST", "/expire", { service }),
    exchanges: (service) => items(`/exchanges${service === undefined ? "" : `?service=${service}`}`),
    counts: () => ask("GET", "/counts"),
    fetched: () => items("/fetched"),
    forget: () => ask("DELETE", "/exchanges"),
    distrust: () => ask("DELETE", "/trust"),
    secrets: () => items("/secrets"),
  };
}
