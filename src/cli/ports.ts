/** Whether a port of loopback is free, asked before anything is started that would fail on it less clearly. */
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { complain, fine, type Outcome } from "./complaint.ts";

const LOOK_AGAIN_MS = 100;

/**
 * @param patienceMs how long a port in use is given to become free: a server that lost its parent needs a moment to end
 */
export async function checkPort(port: number, patienceMs = 0): Promise<Outcome<void>> {
  if (port === 0) return fine(undefined);
  const until = Date.now() + patienceMs;
  for (;;) {
    const code = await tryPort(port);
    if (code === null) return fine(undefined);
    if (code === "EADDRINUSE" && Date.now() < until) await pause(LOOK_AGAIN_MS);
    else
      return complain(
        whatIs(port, code),
        `Name another one: npm start -- --port ${port + 1}, or --port 0 for any.`,
      );
  }
}

function whatIs(port: number, code: string): string {
  if (code === "EADDRINUSE") return `Port ${port} of this machine is in use by another program.`;
  if (code === "EACCES") return `Port ${port} is only for privileged programs.`;
  return `Port ${port} cannot be opened (${code}).`;
}

/** Null if it can be opened, else the platform's code. */
function tryPort(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(null)));
  });
}
