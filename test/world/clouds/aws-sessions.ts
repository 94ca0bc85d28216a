/** Credentials that AWS's token service issued, and what each may do. */
import { randomBytes } from "node:crypto";
import type { CloudBook } from "./book.ts";
import { allows, type Attempt, type Policy } from "./iam.ts";

export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** Of the role that was assumed. */
  readonly roleArn: string;
  readonly name: string;
  readonly permissions: Policy | null;
  /** What is left of the permissions is what one of these allows as well; none: all of them. */
  readonly policies: readonly Policy[];
  readonly tags: Readonly<Record<string, string>>;
  readonly transitiveTags: readonly string[];
  /** Of the identity token at the beginning of the chain. */
  readonly subject: string;
  expiresAt: number;
}

export class Sessions {
  readonly #book: CloudBook;
  readonly #sessions = new Map<string, Session>();

  constructor(book: CloudBook) {
    this.#book = book;
  }

  issue(session: Omit<Session, "accessKeyId" | "secretAccessKey" | "sessionToken">): Session {
    const issued = {
      ...session,
      accessKeyId: `ASIA${randomBytes(8).toString("hex").toUpperCase()}`,
      secretAccessKey: this.#book.secret("", 30),
      sessionToken: this.#book.secret("IQoJb3JpZ2luX2Vj", 96),
    };
    this.#sessions.set(issued.accessKeyId, issued);
    return issued;
  }

  get(accessKeyId: string): Session | undefined {
    return this.#sessions.get(accessKeyId);
  }

  /** All are expired from now on. */
  end(): void {
    for (const session of this.#sessions.values()) session.expiresAt = 0;
  }
}

/** `arn:aws:sts::<account>:assumed-role/<role>/<session>` */
export function sessionArn(session: Pick<Session, "roleArn" | "name">): string {
  const [, account, path] = /^arn:aws:iam::(\d+):role\/(.+)$/.exec(session.roleArn) ?? [];
  return `arn:aws:sts::${account ?? ""}:assumed-role/${path?.split("/").at(-1) ?? ""}/${session.name}`;
}

export function may(session: Session, attempt: Attempt): boolean {
  if (session.permissions === null || !allows(session.permissions, attempt)) return false;
  return session.policies.length === 0 || session.policies.some((policy) => allows(policy, attempt));
}
