/**
 * The world: a small internet on loopback. Tests, the crash harness, the benchmark and the demo share it.
 *
 * @example
 * const world = await startWorld({ faults: [{ service: "airline", fault: { kind: "lost_answer" } }] });
 * // ... let the product call https://api.skyline.example, mapped to world.names["api.skyline.example"]
 * world.referee.duplicates(); // []
 * await world.close();
 */
import { BENCH } from "./bench.ts";
import { createClouds, type Clouds } from "./clouds/index.ts";
import { controlService } from "./control.ts";
import { serve } from "./exchange.ts";
import { FaultBook, type FaultRule } from "./faults.ts";
import { listen, shut, type RequestListener, type Server } from "./http.ts";
import { createLogin, type Login, type LoginSettings } from "./login.ts";
import { Referee } from "./referee.ts";
import type { Service, Surroundings } from "./service.ts";
import { BUSINESSES } from "./services.ts";
import { newToken, Tokens } from "./tokens.ts";

export interface WorldOptions {
  /** Further services, beside the standard ones. */
  services?: readonly Service[];
  /** Ports by host; hosts that are not named get a free one. */
  ports?: Readonly<Record<string, number>>;
  /** Tokens by host; hosts that are not named keep that of the state file, or get a new one. */
  tokens?: Readonly<Record<string, string>>;
  faults?: readonly FaultRule[];
  /** Of the dice for faults with a probability. */
  seed?: number;
  /** Append-only file of all that happened; a world that is started on it again goes on from there. */
  stateFile?: string;
  /** How long idempotency keys are remembered (24 h). */
  keyTtlMs?: number;
  /** How the login server begins; see {@link Login.change}. */
  login?: Partial<LoginSettings>;
}

export interface World {
  /** Host to loopback port. */
  names: Readonly<Record<string, number>>;
  /** Host to bearer token, for the services that check one. */
  tokens: Readonly<Record<string, string>>;
  referee: Referee;
  faultBook: FaultBook;
  /** The OAuth server at `login.agenda.example`. */
  login: Login;
  /** AWS, Google Cloud, Azure and others that trade identity tokens for credentials. */
  clouds: Clouds;
  /** Replaces all fault rules. */
  faults: (rules: readonly FaultRule[]) => void;
  /** `http://127.0.0.1:PORT` of a host. Throws for a host that is not in the world. */
  origin: (host: string) => string;
  /** Ends every service and connection. */
  close: () => Promise<void>;
}

/** Starts all services. Fails, with nothing left running, if a given port is taken. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const referee = new Referee(options);
  const faultBook = new FaultBook(options.seed ?? 1);
  const { login, ...loginServer } = createLogin(faultBook, options.login);
  const { clouds, services: cloudServices } = createClouds(faultBook);
  const services = [
    ...BUSINESSES,
    BENCH,
    loginServer.service,
    ...cloudServices,
    controlService(faultBook, login, clouds),
    ...(options.services ?? []),
  ];
  const tokens = chooseTokens(referee, services, options.tokens ?? {});
  const desk = { referee, faults: faultBook, tokens: new Tokens(tokens, login.scopesOf) };
  const names: Record<string, number> = {};
  const servers: Server[] = [];

  async function close(): Promise<void> {
    referee.close();
    await Promise.all([...servers.map(shut), loginServer.close()]);
  }

  try {
    faultBook.set(options.faults ?? []);
    for (const service of services) {
      const { server, port } = await open(service, options.ports?.[service.host] ?? 0, (it) =>
        listenerOf(it, desk, { referee, names }),
      );
      servers.push(server);
      names[service.host] = port;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    names,
    tokens,
    referee,
    faultBook,
    login,
    clouds,
    faults: (rules) => faultBook.set(rules),
    origin: (host) => {
      const port = names[host];
      if (port === undefined) throw new RangeError(`${host} is not in the world`);
      return `http://127.0.0.1:${port}`;
    },
    close,
  };
}

function chooseTokens(
  referee: Referee,
  services: readonly Service[],
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const known = referee.tokens(given);
  const missing = services.filter(
    (service) => "routes" in service && service.open !== true && known[service.host] === undefined,
  );
  return referee.tokens(Object.fromEntries(missing.map((service) => [service.host, newToken(service.name)])));
}

function listenerOf(
  service: Service,
  desk: Parameters<typeof serve>[1],
  surroundings: Surroundings,
): RequestListener {
  return "listener" in service ? service.listener(surroundings) : serve(service, desk);
}

async function open(
  service: Service,
  port: number,
  listenerFor: (service: Service) => RequestListener,
): Promise<{ server: Server; port: number }> {
  try {
    return await listen(port, listenerFor(service));
  } catch (cause) {
    throw new Error(
      `world: ${service.host} could not listen on 127.0.0.1:${port}; choose another port, or 0 for any`,
      { cause },
    );
  }
}

export { cloudControl, type CloudControl } from "./clouds/control.ts";
export type { CloudSettings, Exchange } from "./clouds/book.ts";
export type { Clouds } from "./clouds/index.ts";
export { CLOUD_HOSTS } from "./clouds/names.ts";
export type { TrustInput } from "./clouds/trust.ts";
export { parseFaultRules } from "./fault-input.ts";
export type { Fault, FaultKind, FaultRule, FaultStanding } from "./faults.ts";
export type { Deed, DeedFilter, Duplicate } from "./deeds.ts";
export type { Entry, LedgerPage } from "./ledger.ts";
export { consent, type Visit } from "./login-driver.ts";
export { loginControl, type LoginControl } from "./login-control.ts";
export type { Login, LoginSettings, TokenRequest } from "./login.ts";
export type { Report } from "./reports.ts";
export { Referee, type Counts, type Happened } from "./referee.ts";
export type { ApiService, Call, RawService, Service, ServiceRoute, Surroundings } from "./service.ts";
export { serviceTokens } from "./service-tokens.ts";
