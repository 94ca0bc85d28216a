/**
 * How the demo's user lends their calendar, takes it back, and lends it again: through the API as a tenant's backend would,
 * and through the pages as a person would. With `--browser` the person is the one before the screen.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Api, ConnectSession, RunView } from "./api.ts";
import type { Backend } from "./backend.ts";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { titleOf, Visitor } from "./visitor.ts";

/** Of the demo's workflow, which names it. */
export const INTEGRATION = "agenda";
/** Ada, whose trip it is. So is she called at the provider, too. */
export const USER = "ada";
export const LOGIN_HOST = "login.agenda.example";
export const CALENDAR_HOST = "api.calendar.example";
const SCOPES = ["calendar.read", "calendar.write"];
const LOOK_MS = 500;

/** Our client at the provider, whose secret is another one in each life of the world. */
export interface LoginClient {
  readonly id: string;
  readonly secret: string;
}

/** Makes the integration, or tells the one of an earlier start what is new. */
export async function integrate(
  api: Api,
  client: LoginClient,
  { returnTo }: Backend,
): Promise<Outcome<"made" | "kept">> {
  const changing = { client_secret: client.secret, return_to: [returnTo] };
  const changed = await api.call("PATCH", `/v1/integrations/${INTEGRATION}`, changing);
  if (changed.ok) return fine("kept");
  if (changed.complaint.code !== "not_found") return changed;
  const made = await api.call("POST", "/v1/integrations", {
    ...{ name: INTEGRATION, provider: "oidc", client_id: client.id },
    custom: { display_name: "Agenda", issuer: `https://${LOGIN_HOST}`, hosts: [CALENDAR_HOST] },
    scopes_default: ["offline_access", ...SCOPES],
    ...changing,
  });
  return made.ok ? fine("made") : made;
}

export interface Person {
  /** Takes the way of a link to its end. What is said of it has to be shown. */
  readonly follow: (link: string) => Promise<void>;
  /** Whether the way is gone by hand, so that links must be shown whole. */
  readonly byHand: boolean;
}

/** One that this program plays, or the one before the screen. Throws if a page is not what it should be. */
export function personOf(byHand: boolean): Person {
  return { byHand, follow: byHand ? async () => {} : walk };
}

async function walk(link: string): Promise<void> {
  const visitor = new Visitor();
  const asked = await visitor.open(link);
  const provider = await visitor.press(asked, "Go on");
  const back = await visitor.press(provider, "Allow", { user: USER });
  if (back.status !== 200) throw new Error(`it ended on the page "${titleOf(back)}"`);
}

/**
 * The first consent, or that of a later start: the world keeps no grant. Answers the connection.
 * @param show a link that somebody has to open
 */
export async function connect(
  api: Api,
  person: Person,
  show: (link: string) => void,
): Promise<Outcome<string>> {
  for (;;) {
    const made = await api.call<ConnectSession>("POST", "/v1/connect-sessions", {
      ...{ integration: INTEGRATION, user: USER, replace_account: true },
    });
    if (!made.ok) return made;
    const { id, url, connection } = made.value;
    show(url ?? "");
    try {
      await person.follow(url ?? "");
    } catch (error) {
      return complain(`The consent did not come about: ${reasonOf(error)}.`, "See the server's log.");
    }
    const ended = await untilOver(api, id, person);
    if (!ended.ok) return ended;
    if (ended.value.state === "done") return fine(connection);
    // By hand, somebody may have said no, or taken too long: they are asked again.
    if (!person.byHand) return complain(`The consent ended as ${why(ended.value)}.`, "See the server's log.");
  }
}

function why({ state, failure }: ConnectSession): string {
  return failure ?? state;
}

const OVER = new Set(["done", "failed", "expired"]);

async function untilOver(api: Api, id: string, person: Person): Promise<Outcome<ConnectSession>> {
  for (;;) {
    const seen = await api.call<ConnectSession>("GET", `/v1/connect-sessions/${id}`);
    if (!seen.ok || OVER.has(seen.value.state) || !person.byHand) return seen;
    await pause(LOOK_MS);
  }
}

/**
 * The consent for which a step of a run waits, by the run's own link. Returns when the step waits no more. Throws where that
 * does not come about.
 */
export async function heal(
  api: Api,
  run: string,
  step: string,
  person: Person,
  show: (link: string) => void,
): Promise<void> {
  let shown = "";
  for (;;) {
    const seen = await api.getRun(run);
    if (!seen.ok) throw new Error(seen.complaint.what);
    const link = linkOf(seen.value, step);
    if (link === null) return;
    if (link !== "" && link !== shown) {
      shown = link;
      show(link);
      await person.follow(link);
    }
    await pause(LOOK_MS);
  }
}

/** Null: the step waits for nobody. */
function linkOf({ steps }: RunView, step: string): string | null {
  const wait = steps.find(({ name }) => name === step)?.waiting_for;
  return wait === undefined ? null : (wait.connect?.url ?? "");
}
