/** The service of the world that hears of runs by their outbox: so the harness learns of an end without asking the run. */
import type { RequestListener } from "node:http";
import type { RawService } from "../world/index.ts";
import type { Random } from "../sim/random.ts";

export const SINK_HOST = "sink.example";

export interface Heard {
  readonly run: string;
  readonly version: number;
  readonly body: { readonly what: "run_started" | "ended" };
}

export class Sink {
  readonly #random: Random;
  readonly #refusal: number;
  readonly #ended = new Set<string>();
  readonly #started = new Set<string>();
  #delivered = 0;
  /** While it is, it hears nothing. */
  away = false;

  /** @param refusal chance that a message is taken and answered 503 all the same: it must come again */
  constructor(random: Random, refusal: number) {
    this.#random = random;
    this.#refusal = refusal;
  }

  /** Whether the run has told of its end. */
  hasEnded(run: string): boolean {
    return this.#ended.has(run);
  }

  hasStarted(run: string): boolean {
    return this.#started.has(run);
  }

  /** Messages that arrived, each time that they did. */
  get delivered(): number {
    return this.#delivered;
  }

  get service(): RawService {
    return { name: "sink", host: SINK_HOST, listener: () => this.#listen };
  }

  readonly #listen: RequestListener = (req, res) => {
    if (this.away) {
      req.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const heard = JSON.parse(Buffer.concat(chunks).toString()) as Heard;
      this.#delivered += 1;
      (heard.body.what === "ended" ? this.#ended : this.#started).add(heard.run);
      res.writeHead(this.#random.chance(this.#refusal) ? 503 : 204);
      res.end();
    });
  };
}
