/** A person with a browser: JavaScript is off unless a test says that it must be on. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import axe, { type AxeResults } from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { REPOSITORY } from "../dev-server/index.ts";

/** WCAG 2.2 A and AA, and what axe holds to be good practice. */
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SCHEMES = ["light", "dark"] as const;
const PICTURES = join(REPOSITORY, "docs/images");
export const PHONE = { width: 360, height: 740 };

export function visit(browser: Browser, options: { script?: boolean } = {}): Promise<BrowserContext> {
  return browser.newContext({
    javaScriptEnabled: options.script ?? false,
    colorScheme: "light",
    viewport: { width: 820, height: 900 },
  });
}

/**
 * What axe finds wrong with a page as it stands, in both colour schemes. axe is a script, so it looks at the same markup
 * in a tab of its own in which scripts run.
 */
export async function audit(browser: Browser, page: Page): Promise<readonly string[]> {
  const context = await visit(browser, { script: true });
  try {
    const copy = await context.newPage();
    // Also where the page sends browsers on by itself.
    await copy.route("**", (route) => route.abort("aborted"));
    await copy.setContent(await page.content());
    await copy.evaluate(axe.source);
    const found: string[] = [];
    for (const colorScheme of SCHEMES) {
      await copy.emulateMedia({ colorScheme });
      const { violations, passes } = await copy.evaluate<AxeResults>(
        `axe.run({ runOnly: ${JSON.stringify(TAGS)} })`,
      );
      if (!passes.some(({ id }) => id === "color-contrast"))
        found.push(`${colorScheme}: nothing was looked at`);
      for (const { id, nodes } of violations)
        found.push(...nodes.map(({ html }) => `${colorScheme}: ${id}: ${html}`));
    }
    return found;
  } finally {
    await context.close();
  }
}

/** Keeps a picture in docs/images/, if that was asked for (`npm run pictures`). */
export async function keepPicture(page: Page, name: string): Promise<void> {
  if (process.env["PICTURES"] !== "1") return;
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}
