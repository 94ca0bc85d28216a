/**
 * What a tenant asks of the database and of objects: statements and the rows they write, and every call of an object. It stands
 * between the Worker and its bindings, so it sees all of them; which are whose is told by the values that are bound.
 */
import { env } from "cloudflare:workers";

export interface Asked {
  /** The statement, or the class, the tenant and the method. */
  readonly what: string;
  /** What is bound, or the parts of the object's name and what it is given. */
  readonly values: readonly unknown[];
  rows: number;
}

/** Everything, in the order in which it was asked. */
export const asked: Asked[] = [];

/** From now on. To be called once, before anything is asked. */
export function watchBindings(): void {
  watchDatabase();
  for (const namespace of [env.RUN, env.DIRECTORY, env.QUOTA, env.HOOK, env.CONNECTION, env.FLOW, env.EVENTS])
    watchObjects(namespace);
}

const watched = new WeakMap<D1PreparedStatement, Asked>();

function watchDatabase(): void {
  const { DB } = env;
  const prepare = DB.prepare.bind(DB);
  const batch = DB.batch.bind(DB);
  DB.prepare = (query) => watchStatement(prepare(query), query.replaceAll(/\s+/g, " "), []);
  DB.batch = async <T>(statements: D1PreparedStatement[]) => {
    const all = statements.map((statement) => told(statement));
    const results = await batch<T>(statements);
    for (const [i, one] of all.entries()) one.rows = results[i]?.meta.rows_written ?? 0;
    return results;
  };
}

function watchStatement(
  statement: D1PreparedStatement,
  query: string,
  values: readonly unknown[],
): D1PreparedStatement {
  watched.set(statement, { what: query, values, rows: 0 });
  const bind = statement.bind.bind(statement);
  statement.bind = (...given) => watchStatement(bind(...given), query, given);
  const run = statement.run.bind(statement);
  statement.run = async () => {
    const one = told(statement);
    const result = await run();
    one.rows = result.meta.rows_written;
    return result as never;
  };
  for (const read of ["first", "all", "raw"] as const) {
    const original = (statement[read] as (...given: unknown[]) => unknown).bind(statement);
    (statement as unknown as Record<string, unknown>)[read] = (...given: unknown[]) => {
      told(statement);
      return original(...given);
    };
  }
  return statement;
}

/** Each time that it is sent. */
function told(statement: D1PreparedStatement): Asked {
  const known = watched.get(statement);
  if (known === undefined) throw new TypeError("The statement was prepared before the watch began.");
  const one = { ...known };
  asked.push(one);
  return one;
}

/** Whatever its objects are. */
interface Namespace {
  getByName: unknown;
}

const unwatched = new Map<unknown, (name: string) => DurableObjectStub>();

/** An object, to look into. */
export function objectBehind(namespace: Namespace, name: string): DurableObjectStub {
  const getByName = unwatched.get(namespace);
  if (getByName === undefined) throw new TypeError("The namespace is not watched.");
  return getByName(name);
}

function watchObjects(namespace: Namespace): void {
  const original = namespace.getByName as (name: string) => DurableObjectStub;
  const getByName = (name: string): DurableObjectStub => original.call(namespace, name);
  unwatched.set(namespace, getByName);
  const named = (name: string) =>
    new Proxy(getByName(name), {
      get(stub, method) {
        const member: unknown = Reflect.get(stub, method);
        if (typeof member !== "function" || typeof method !== "string") return member;
        return (...given: readonly unknown[]): unknown => {
          const what = `${name.split(":").slice(0, 2).join(":")}.${method}`;
          asked.push({ what, values: [...name.split(":"), ...given], rows: 0 });
          return Reflect.apply(member, stub, given) as unknown;
        };
      },
    });
  namespace.getByName = named;
}
