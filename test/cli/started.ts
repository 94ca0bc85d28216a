/** Programs that are started as a person would, with what they said and how they ended. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
export const START = join(ROOT, "src/cli/start.ts");

export interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Waits for its end, and fails with what it said if that is another one. */
  readonly endsWith: (code: number) => Promise<void>;
  /** Waits until the output has a text. */
  readonly says: (text: string) => Promise<void>;
}

export function run(command: string, args: readonly string[]): Started {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  let look = (): void => {};
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      look();
    });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const endsWith = async (expected: number): Promise<void> => {
    const how = await ended;
    if (how !== expected) throw new Error(`ended with ${how} instead of ${expected}:\n${output}`);
  };
  const says = (text: string): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => {
        look = () => {
          if (output.includes(text)) resolve();
        };
        look();
      }),
      ended.then((how) => {
        if (!output.includes(text)) throw new Error(`ended (${how}) before it said "${text}":\n${output}`);
      }),
    ]);
  return { child, output: () => output, endsWith, says };
}
