/** Session tags and source identity that an identity token carries: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html */
import * as z from "zod";
import type { Claims } from "./verify.ts";

const TAGS = "https://aws.amazon.com/tags";
const SOURCE = "https://aws.amazon.com/source_identity";
const MAX_TAGS = 50;

const Key = z.string().min(1).max(128);
const Value = z.tuple([z.string().max(256)]).transform(([value]) => value);
const Nested = z.strictObject({
  principal_tags: z.record(Key, Value),
  transitive_tag_keys: z.array(Key).default([]),
});

export interface SessionTags {
  readonly principal: Readonly<Record<string, string>>;
  readonly transitive: readonly string[];
  readonly source: string | null;
}

/** Nested, or flat as `https://aws.amazon.com/tags/principal_tags/<Key>`. Null if they are malformed. */
export function readTags(claims: Claims): SessionTags | null {
  const nested = Nested.safeParse(claims[TAGS] ?? { principal_tags: {} });
  const flat = Object.entries(claims).filter(([name]) => name.startsWith(`${TAGS}/principal_tags/`));
  const values = flat.map(([name, value]) => [name.slice(`${TAGS}/principal_tags/`.length), value] as const);
  const read = z.record(Key, z.union([Value, z.string().max(256)])).safeParse(Object.fromEntries(values));
  const keys = z.array(Key).safeParse(claims[`${TAGS}/transitive_tag_keys`] ?? []);
  const source = z
    .string()
    .nullable()
    .safeParse(claims[SOURCE] ?? null);
  if (!nested.success || !read.success || !keys.success || !source.success) return null;
  const principal = { ...nested.data.principal_tags, ...read.data };
  if (Object.keys(principal).length > MAX_TAGS) return null;
  const transitive = [...nested.data.transitive_tag_keys, ...keys.data];
  return { principal, transitive, source: source.data };
}
