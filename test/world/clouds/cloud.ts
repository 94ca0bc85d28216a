/** What all clouds of one world share. */
import type { Sessions } from "./aws-sessions.ts";
import type { CloudBook } from "./book.ts";
import type { Issuers } from "./issuers.ts";
import type { Trust } from "./trust.ts";

export interface Clouds {
  readonly book: CloudBook;
  readonly issuers: Issuers;
  readonly trust: Trust;
  readonly sessions: Sessions;
}
