/** The catalogue: every provider that ships, by name. */
import type { ConsentProvider } from "../descriptor.ts";
import { hubspot, quickbooks, salesforce, shopify, xero } from "./business.ts";
import { box, dropbox } from "./files.ts";
import { github, githubApp } from "./github.ts";
import { google } from "./google.ts";
import { microsoft } from "./microsoft.ts";
import { discord, x, zoom } from "./people.ts";
import { slack, slackUser } from "./slack.ts";
import { airtable, asana, atlassian, figma, gitlab, linear, notion } from "./work.ts";

export const CATALOG: readonly ConsentProvider[] = [
  google,
  github,
  githubApp,
  slack,
  slackUser,
  microsoft,
  notion,
  atlassian,
  hubspot,
  salesforce,
  linear,
  zoom,
  dropbox,
  box,
  asana,
  airtable,
  discord,
  figma,
  gitlab,
  quickbooks,
  xero,
  x,
  shopify,
];

const BY_NAME = new Map(CATALOG.map((provider) => [provider.name, provider]));

/** The provider of that name, its parts not filled in yet; undefined if the catalogue has none. */
export function findProvider(name: string): ConsentProvider | undefined {
  return BY_NAME.get(name);
}
