/** A user of the login server without a browser: follows redirects, keeps cookies, fills in the one form. */
import { LOGIN_HOST } from "./login-names.ts";

export interface Visit {
  /** Where the product sent the user: `https://login.agenda.example/auth?...`, or the same at the loopback port. */
  readonly url: string;
  /** `http://127.0.0.1:PORT` of the login server. */
  readonly origin: string;
  readonly user: string;
  /** Scopes that the user does not give. */
  readonly untick?: readonly string[];
  readonly deny?: boolean;
}

const MAX_HOPS = 10;

/** Goes through login and consent. The address of the product's callback, with `code`, `state` and `iss` or an error. */
export async function consent({ url, origin, user, untick = [], deny = false }: Visit): Promise<string> {
  const cookies = new Map<string, string>();
  let next = new URL(url);
  let form: URLSearchParams | null = null;
  for (let hop = 0; hop < MAX_HOPS; hop += 1) {
    const here = new URL(next.pathname + next.search, origin);
    const answer: Response = await fetch(here, {
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === null ? {} : { method: "POST", body: form }),
    });
    form = null;
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    const text = await answer.text();
    const location = answer.headers.get("location");
    if (location !== null) {
      next = new URL(location, here);
      if (next.origin !== origin && next.hostname !== LOGIN_HOST) return next.href;
    } else if (answer.status === 200) {
      form = new URLSearchParams({ user, answer: deny ? "deny" : "allow" });
      for (const [, scope = ""] of text.matchAll(/name="scope" value="([^"]+)"/g))
        if (!untick.includes(scope)) form.append("scope", scope);
    } else throw new Error(`the login server said ${answer.status}: ${text}`);
  }
  throw new Error("the login server went round in circles");
}
