/** The show: everything is started, a run is performed, and the referee has the last word. */
import { randomUUID } from "node:crypto";
import { relative } from "node:path";
import { createApi, isGoodKey, makeKey, type Api, type RunView } from "./api.ts";
import { startBackend, type Backend } from "./backend.ts";
import { complain, fine, reasonOf, type Complaint, type Outcome } from "./complaint.ts";
import { CALENDAR_HOST, connect, heal, INTEGRATION, integrate, LOGIN_HOST, personOf } from "./consents.ts";
import { DEMOS, type Course, type Demo } from "./demos.ts";
import { ISSUER_ORIGIN, trustRoles } from "./roles.ts";
import { COLUMNS, layOut, row, wrap } from "./layout.ts";
import type { StartOptions } from "./options.ts";
import type { Paint } from "./paint.ts";
import { perform, backgroundOf } from "./performance.ts";
import { startWorld, type WorldProcess } from "./processes.ts";
import { createReferee, judge, type Referee } from "./referee.ts";
import { migrate, startServer, writeConfig, type Ground, type Server } from "./server.ts";
import { orBeginAnew } from "./state.ts";
import type { Line, RunEvent } from "./story.ts";
import { failureRows, ownTokens, serviceTokens, valueOf, whatNext } from "./words.ts";

const REFEREE_HOST = "referee.example";
const WORLD_LOG = "world.log";
const SHORT_CHARS = 45;
/** A whole link, which stands alone in its line, comes after what leads to it: that waits for others that are earlier. */
const LINK_MS = 300;

export interface Stage extends Ground {
  readonly options: StartOptions;
  readonly paint: Paint;
  readonly say: (text: string) => void;
  /** Tells other starts where the server is. */
  readonly announce: (url: string) => void;
}

export interface Shown {
  /** The run ended as it should, and the referee agrees. */
  readonly good: boolean;
  /** Settles if the server or the world ends or falls silent, which neither should do by itself: with what to say of it. */
  readonly ended: Promise<Complaint>;
}

export async function show(stage: Stage): Promise<Outcome<Shown>> {
  const { say, paint, options } = stage;
  const demo = DEMOS[options.workflow];
  const course = options.fail ? demo.bad : demo.good;
  say(
    `\n${paint("bold", "Showcaller")}\n\n${wrap(course.title, COLUMNS).join("\n")}\nThe services fail on purpose.\n`,
  );
  const house = await open(stage);
  if (!house.ok) return house;
  const lent = demo.user === undefined ? fine(undefined) : await lend(stage, demo.user, house.value);
  if (!lent.ok) return withLog(lent.complaint, house.value.server);
  const trusted = await beTrusted(stage, house.value);
  if (!trusted.ok) return withLog(trusted.complaint, house.value.server);
  const { referee, world, server } = house.value;
  try {
    const silent = server.silent.then(() =>
      complain("The server no longer answers.", "Start again.", server.log),
    );
    const good = await Promise.race([showRun(stage, demo, course, house.value), silent]);
    const gone = (who: string, log: string) => (): Complaint => ({
      what: `${who} has ended by itself.`,
      todo: orBeginAnew(stage.state.folder),
      log,
    });
    const ended = Promise.race([
      silent.then(({ complaint }) => complaint),
      server.ended.then(gone("The server", server.log)),
      world.ended.then(gone("The world of services", stage.state.path(WORLD_LOG))),
    ]);
    return good.ok ? fine({ good: good.value, ended }) : good;
  } catch (error) {
    return complain(
      `The referee cannot be asked: ${reasonOf(error)}`,
      "Start again.",
      stage.state.path(WORLD_LOG),
    );
  } finally {
    // Who tries the curl lines shall not meet faults that nobody announced.
    await referee.setFaults([]).catch(() => {});
  }
}

interface House {
  readonly api: Api;
  readonly referee: Referee;
  readonly refereeUrl: string;
  readonly world: WorldProcess;
  readonly server: Server;
}

/** Starts everything, and says so line by line. */
async function open(stage: Stage): Promise<Outcome<House>> {
  const { root, state, options, say } = stage;
  say(row("secrets", `${shortPath(root, state.folder)} (${state.fresh ? "new" : "kept from before"})`));
  const world = await startWorld({
    root,
    stateFile: state.path("world.jsonl"),
    todo: orBeginAnew(state.folder),
    log: state.path(WORLD_LOG),
    started: stage.started,
  });
  if (!world.ok) return world;
  const { names, tokens } = world.value;
  say(row("world", `${Object.keys(tokens).length} services and a referee on loopback`));
  for (const [host, port] of Object.entries(options.hosts))
    say(row("", `${host}: port ${port} of this machine`));
  const { serverKey, keyring, rootKey } = state.secrets;
  const written = writeConfig(stage, {
    SERVER_KEY: serverKey,
    KEYRING: keyring,
    ROOT_API_KEY: rootKey,
    DEV_HOSTS: JSON.stringify({ ...names, ...options.hosts }),
    SERVICE_TOKENS: JSON.stringify(serviceTokens({ ...ownTokens(options.hosts), ...tokens })),
    ISSUER_ORIGIN,
  });
  if (!written.ok) return written;
  const migrated = await migrate(stage);
  if (!migrated.ok) return migrated;
  say(row("database", migrated.value ? "migrations applied" : "up to date"));
  const server = await startServer(stage, options.port, ({ what, colour }) =>
    say(row("server", what, (text) => stage.paint(colour, text))),
  );
  if (!server.ok) return server;
  const { url } = server.value;
  stage.announce(url);
  say(row("server", url));
  const key = await keyOf(stage, url);
  if (!key.ok) {
    const { complaint } = key;
    const todo = complaint.silent === true ? complaint.todo : orBeginAnew(state.folder);
    return withLog({ ...complaint, todo }, server.value);
  }
  const refereeUrl = `http://127.0.0.1:${names[REFEREE_HOST] ?? 0}`;
  return fine({
    api: createApi(url, key.value),
    referee: createReferee(refereeUrl),
    refereeUrl,
    world: world.value,
    server: server.value,
  });
}

/** The user lends their calendar, before the run: by a real consent, at the world's provider. */
async function lend(stage: Stage, user: string, { api, world }: House): Promise<Outcome<void>> {
  const { say, options } = stage;
  const person = personOf(options.browser);
  const backend: Backend = await startBackend((session, code) =>
    api.call("POST", `/v1/connect-sessions/${session}/confirm`, { code, user }),
  );
  stage.started(backend);
  const made = await integrate(api, world.login, backend);
  if (!made.ok) return made;
  say(
    row(
      "integration",
      `${INTEGRATION} (${made.value}): consents at ${LOGIN_HOST}, tokens to ${CALENDAR_HOST} only`,
    ),
  );
  const connected = await connect(api, person, (link) => {
    say(
      row(
        "consent",
        person.byHand ? byHand(user, "lend the calendar") : `${user} opens ${short(link)}, and agrees`,
      ),
    );
    if (person.byHand) say(link);
  });
  if (!connected.ok) return connected;
  say(row("connection", `${short(connected.value)}: the backend confirmed that it was ${user}`));
  return fine(undefined);
}

/** The cloud roles of the examples are made, and the world's clouds are told whom to trust. */
async function beTrusted({ say }: Stage, { api, referee }: House): Promise<Outcome<void>> {
  const trusted = await trustRoles(api, referee);
  if (!trusted.ok) return trusted;
  for (const { role, made, cloud, subject } of trusted.value)
    say(row("cloud role", `${role} (${made}): ${cloud} trusts ${subject}, and no key is kept`));
  return fine(undefined);
}

function byHand(user: string, what: string): string {
  return `open this link to ${what}. At the provider you are "${user}", without a password:`;
}

/** Enough of a link or an id to know it again. */
function short(text: string): string {
  return text.length <= SHORT_CHARS ? text : `${text.slice(0, SHORT_CHARS)}...`;
}

/** The admin key of an earlier start, if the server still takes it, else a new one. */
async function keyOf({ state, say }: Stage, url: string): Promise<Outcome<string>> {
  const { apiKey, rootKey } = state.secrets;
  const kept = apiKey === undefined ? fine(false) : await isGoodKey(url, apiKey);
  if (!kept.ok) return kept;
  if (apiKey !== undefined && kept.value) {
    say(row("API key", "kept from before"));
    return fine(apiKey);
  }
  const made = await makeKey(url, rootKey);
  if (!made.ok) return made;
  state.keepApiKey(made.value);
  say(row("API key", "made with the root key"));
  return made;
}

async function showRun(stage: Stage, demo: Demo, course: Course, house: House): Promise<Outcome<boolean>> {
  const { say, paint, options } = stage;
  const { api, referee, server } = house;
  await referee.setFaults(course.faults);
  const since = (await referee.ledger(0, 0)).next;
  const { user } = demo;
  const acting = user === undefined ? {} : { user };
  const body = { workflow: options.workflow, ...acting, input: course.input, tags: ["npm-start"] };
  const started = await api.startRun(body, randomUUID());
  if (!started.ok) return withLog(started.complaint, server);
  const { id, started_at: startedAt } = started.value;
  say(`\n${paint("bold", options.workflow)}  ${id}\n`);
  const background = backgroundOf(started.value, demo, course);
  const answer = user === undefined ? {} : { answer: answering(stage, course, house, { id, user }) };
  const sources = { api, referee, since, background, ...answer };
  const broken = await perform(id, sources, (line) => say(layOut(line, startedAt, paint)));
  if (broken !== null)
    return complain(`The run cannot be followed: ${broken}`, "See the server's log.", server.log);
  const run = await api.getRun(id);
  return run.ok
    ? fine(await conclude(stage, { demo, course }, house, run.value))
    : withLog(run.complaint, server);
}

/** What the user does while the run is on its way: takes the consent back, and gives it again when a step waits for it. */
function answering(
  { say, options }: Stage,
  { takenBackAfter }: Course,
  { api, referee }: House,
  { id, user }: { readonly id: string; readonly user: string },
): (event: RunEvent, add: (line: Line) => void) => Promise<void> {
  const person = personOf(options.browser);
  return async ({ type, data }, add) => {
    const step = String(data["step"]);
    const does = (what: string): void => add({ at: Date.now(), who: user, what, colour: "magenta" });
    if (type === "succeeded" && step === takenBackAfter && data["role"] === undefined) {
      await referee.takeBack(user);
      does("takes the consent back, at the provider");
    }
    if (type !== "parked") return;
    await heal(api, id, step, person, (link) => {
      does(
        person.byHand
          ? byHand(user, "lend it again")
          : `opens the run's link, ${short(link)}, and agrees again`,
      );
      if (person.byHand) setTimeout(say, LINK_MS, link);
    });
  };
}

/** What came out, what really happened, and what to try next. */
async function conclude(
  stage: Stage,
  { demo, course }: { readonly demo: Demo; readonly course: Course },
  house: House,
  run: RunView,
): Promise<boolean> {
  const { say, paint, options } = stage;
  const { api, referee } = house;
  const verdict = judge(run.id, course.expected, await referee.deeds(), await referee.duplicates());
  const asIntended = run.status === course.ends;
  const took = ((run.ended_at ?? run.started_at) - run.started_at) / 1000;
  const ending = `${run.status} in ${took.toFixed(2)} s${asIntended ? ", as it should" : `, but should have ${course.ends}`}`;
  say(`\n${row("run", ending)}`);
  say(
    run.status === "succeeded"
      ? row("result", JSON.stringify(valueOf(run.output)))
      : failureRows(run.failure),
  );
  say(row("referee", paint(verdict.agrees ? "green" : "red", verdict.agrees ? "agrees" : "does not agree")));
  for (const count of verdict.counts) say(row("", count));
  if (!options.once)
    say(
      `\n${whatNext({ api, refereeUrl: house.refereeUrl, login: house.world.login }, course, run, { ...options, ...demo })}\n\nCtrl-C ends everything.`,
    );
  return asIntended && verdict.agrees;
}

/** What the API does not say about its failure, the server's log does. */
function withLog(complaint: Complaint, { log }: Server): { ok: false; complaint: Complaint } {
  return { ok: false, complaint: { ...complaint, log } };
}

/** A path inside the project is shown from there, others whole. */
function shortPath(root: string, path: string): string {
  const short = relative(root, path);
  return short.startsWith("..") ? path : short;
}
