/**
 * The clouds of the world: token services that take identity tokens, and what takes the credentials that they issue.
 *
 * @example
 * world.clouds.resolve("id.acme.example", port);
 * world.clouds.register({ kind: "aws_provider", url: "https://id.acme.example/t/acme", clientIds: ["sts.amazonaws.com"] });
 */
import type { FaultBook } from "../faults.ts";
import type { RawService } from "../service.ts";
import { anthropic } from "./anthropic.ts";
import { s3 } from "./aws-s3.ts";
import { Sessions } from "./aws-sessions.ts";
import { sts } from "./aws-sts.ts";
import { azureBlob, azureLogin } from "./azure.ts";
import { CloudBook, type CloudCounts, type CloudSettings, type Exchange } from "./book.ts";
import type { Clouds as Parts } from "./cloud.ts";
import { exchangeApi, exchangeTokens, openRouter } from "./exchange.ts";
import { cloudService, type CloudRequest } from "./front.ts";
import { gcpIam, gcpStorage, gcpSts } from "./gcp.ts";
import { Issuers } from "./issuers.ts";
import { isCloudName, CLOUD_HOSTS, type CloudName } from "./names.ts";
import { Trust, type TrustInput } from "./trust.ts";
import { vault } from "./vault.ts";
import type { Answer } from "../http.ts";

/** The hand that tests have on the clouds. */
export interface Clouds {
  /** The host of an issuer is at this port of loopback, where it is asked with its own name as Host. */
  resolve(host: string, port: number): void;
  /** What the address of an issuer's document answers, for an issuer that listens nowhere. */
  publish(url: string, status: number, body: unknown): void;
  /** Sets up trust. Throws a `ZodError` or a `RangeError` for what the cloud would refuse. */
  register(...entries: TrustInput[]): void;
  settings(service: CloudName): CloudSettings;
  /** Changes settings of one service, or of all. */
  change(changed: Partial<CloudSettings>, service?: CloudName): void;
  /** The next requests to a service are refused with one of its own codes. */
  arm(service: CloudName, code: string, times?: number): void;
  /** All that a service has issued is expired from now on: sessions of AWS, bearer tokens of the others. */
  expire(service: CloudName): void;
  exchanges(service?: Exchange["service"]): readonly Exchange[];
  counts(): Readonly<Record<string, CloudCounts>>;
  /** Documents of issuers that were fetched, oldest first. */
  fetched(): readonly string[];
  /** Forgets exchanges, and what services keep of issuers. Trust and credentials stay. */
  forget(): void;
  /** Ends all trust. */
  distrust(): void;
  /** Every credential that was ever issued, dead or alive. */
  secrets(): readonly string[];
}

export function createClouds(faults: FaultBook): {
  readonly clouds: Clouds;
  readonly services: RawService[];
} {
  const book = new CloudBook();
  let names: Readonly<Record<string, number>> = {};
  const issuers = new Issuers(book, () => names);
  const parts: Parts = { book, issuers, trust: new Trust(), sessions: new Sessions(book) };
  const services = Object.keys(CLOUD_HOSTS)
    .filter(isCloudName)
    .map((name) => {
      const service = cloudService(name, faults, (request) => answer(parts, name, request));
      const { listener } = service;
      return {
        ...service,
        listener: (surroundings: Parameters<typeof listener>[0]) => {
          names = surroundings.names;
          return listener(surroundings);
        },
      };
    });
  return { clouds: handOf(parts), services };
}

function answer(parts: Parts, name: CloudName, request: CloudRequest): Answer | Promise<Answer> {
  switch (name) {
    case "aws":
      return sts(parts, request);
    case "s3":
      return s3(parts, null, request);
    case "s3-invoices":
      return s3(parts, "invoices", request);
    case "gcp":
      return gcpSts(parts, request);
    case "gcp-iam":
      return gcpIam(parts, request);
    case "gcp-storage":
      return gcpStorage(parts, request);
    case "azure":
      return azureLogin(parts, request);
    case "azure-storage":
      return azureBlob(parts, request);
    case "exchange":
      return exchangeTokens(parts, request);
    case "exchange-api":
      return exchangeApi(parts, request);
    case "vault":
      return vault(parts, request);
    case "anthropic":
      return anthropic(parts, request);
    case "openrouter":
      return openRouter(parts, request);
  }
}

function handOf({ book, issuers, trust, sessions }: Parts): Clouds {
  return {
    resolve: (host, port) => issuers.resolve(host, port),
    publish: (url, status, body) => issuers.publish(url, status, body),
    register: (...entries) => {
      for (const entry of entries) trust.register(entry, book.now("azure"));
    },
    settings: (service) => book.settings(service),
    change: (changed, service) => book.change(changed, service),
    arm: (service, code, times) => book.arm(service, code, times),
    expire: (service) => {
      book.endBearers(service);
      if (service === "aws") sessions.end();
    },
    exchanges: (service) => book.exchanges(service),
    counts: () => book.counts(),
    fetched: () => issuers.fetched(),
    forget: () => {
      book.forgetExchanges();
      issuers.forget();
    },
    distrust: () => trust.clear(),
    secrets: () => book.secrets(),
  };
}
