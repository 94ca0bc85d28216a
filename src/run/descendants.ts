/**
 * How many runs one run may bring forth, itself and by those below it. The run at the top keeps the ids: every start of a
 * run below asks it first, and an id that it has is not counted again.
 *
 * The depth alone bounds nothing: eight levels of a list of 1,000 would be more runs than anybody could end. One object is
 * asked at most as often as there are starts, which is what it bounds.
 */

import { limits } from "../kernel/index.ts";
import { integer, migrate, type Row } from "../platform/index.ts";
import { FAMILY_SCHEMA } from "./schema.ts";

export class Descendants {
  readonly #storage: DurableObjectStorage;
  /** Counted once in the life of an object. */
  #count: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** False: there are as many as there may be, and it is none of them. */
  admit(id: string): boolean {
    const { sql } = this.#storage;
    migrate(this.#storage, FAMILY_SCHEMA);
    if (sql.exec("SELECT 1 FROM descendants WHERE id = ?", id).toArray().length > 0) return true;
    const count = (this.#count ??= countIn(sql.exec("SELECT count(*) AS n FROM descendants").toArray()));
    if (count >= limits.MAX_DESCENDANTS) return false;
    sql.exec("INSERT INTO descendants (id) VALUES (?)", id);
    this.#count = count + 1;
    return true;
  }
}

function countIn([row]: readonly Row[]): number {
  return row === undefined ? 0 : integer(row, "n");
}
