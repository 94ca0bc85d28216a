/**
 * A real Chromium, without anything that `npm ci` did not bring.
 *
 * - Linux on x86-64: the one of `@sparticuz/chromium`, unpacked once into `node_modules/.cache`, together with the
 *   libraries and fonts that come with it. Elsewhere: the Chrome that is installed.
 * - `CHROMIUM=PATH` takes another one. None found is an error, never a skip.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium, type Browser, type LaunchOptions } from "playwright-core";
import { REPOSITORY } from "../dev-server/index.ts";

/**
 * The package's own arguments are not used: they switch web security and site isolation off, which are what is tested.
 * The sandbox is off because root, as whom CI runs, cannot have it; the pages are our own.
 */
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--font-render-hinting=none"];

export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ headless: true, args: ARGS, ...(await whichBrowser()) });
}

async function whichBrowser(): Promise<LaunchOptions> {
  const given = process.env["CHROMIUM"];
  if (given !== undefined && given !== "") return { executablePath: given };
  if (process.platform !== "linux" || process.arch !== "x64") return { channel: "chrome" };
  const folder = await unpacked();
  return {
    executablePath: join(folder, "chromium"),
    env: {
      ...process.env,
      FONTCONFIG_FILE: join(folder, "fonts.conf"),
      // Those of the machine come first, should it have them.
      LD_LIBRARY_PATH: [process.env["LD_LIBRARY_PATH"] ?? "", join(folder, "al2023/lib")]
        .filter((path) => path !== "")
        .join(":"),
    },
  };
}

/** The folder with the unpacked browser. It appears whole, so that two runs at once cannot see half of it. */
async function unpacked(): Promise<string> {
  const entry = fileURLToPath(import.meta.resolve("@sparticuz/chromium"));
  const manifest: unknown = JSON.parse(await readFile(join(entry, "../../package.json"), "utf8"));
  const { version } = manifest as { readonly version: string };
  const cache = join(REPOSITORY, "node_modules/.cache/chromium");
  const folder = join(cache, version);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const making = await mkdtemp(join(cache, "unpacking-"));
  try {
    // The package unpacks into the folder for temporary files, and the libraries only where it believes to be in a Lambda.
    const script = `import chromium from ${JSON.stringify(entry)}; await chromium.executablePath();`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...process.env, TMPDIR: making, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x" },
    });
    await writeFile(
      join(making, "fonts.conf"),
      `<?xml version="1.0"?><fontconfig><dir>${join(folder, "fonts")}</dir><cachedir>${join(folder, "font-cache")}</cachedir></fontconfig>`,
    );
    await rename(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    // Another run was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
