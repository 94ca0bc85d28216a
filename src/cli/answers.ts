/** What a command says of a deployment that does not answer, or refuses: what happened, and what to do. */
import { reasonOf } from "./complaint.ts";

/** As `fetch`; throws a sentence where there is no answer. */
export async function asked(api: string, path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(api + path, init);
  } catch (error) {
    throw new Error(`${api} does not answer: ${reasonOf(error)}.\nCheck the address.`, { cause: error });
  }
}

/** Of a refusal of the API, as src/api writes them. Anything else is shown as it came, cut short. */
export function saidBy(path: string, status: number, text: string): string {
  try {
    const { code, detail, hint } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof code === "string" && typeof detail === "string")
      return `${code}: ${detail}${typeof hint === "string" ? `\n${hint}` : ""}`;
  } catch {
    // Another server, or something before it.
  }
  return `${path} answers ${status}: ${text.slice(0, 300)}\nCheck the address.`;
}

/** The command line is wrong, and Node says how. */
export function isUsage(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
}
