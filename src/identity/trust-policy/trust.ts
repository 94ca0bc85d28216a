/** What the owner of a cloud has to set up so that it trusts exactly one role of ours: texts to paste. */

/** What a verifier is to hold a token against. */
export interface Trusted {
  /** `https://<host>/t/<tenant>`: compared as it is, letter by letter. */
  readonly issuer: string;
  readonly audience: string;
  /** Each allowed `sub`, whole. */
  readonly subjects: readonly string[];
}

export interface TrustText {
  readonly form: "json" | "shell" | "terraform" | "text";
  readonly title: string;
  readonly content: string;
}

/** For a POSIX shell: nothing in it is read by the shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** For Terraform: nothing in it is a template. */
export function terraformText(text: string): string {
  return JSON.stringify(text).replace(/[$%](?=\{)/g, (sign) => sign + sign);
}

export function terraformList(texts: readonly string[]): string {
  return `[${texts.map(terraformText).join(", ")}]`;
}

export function prettyJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** A command over several lines. */
export function command(start: string, options: readonly string[]): string {
  return [start, ...options.map((option) => `  ${option}`)].join(" \\\n");
}
