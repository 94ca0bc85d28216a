/** The queue of runs that a test has put into it: what the test says is answered, and what was told is remembered. */

import type { FlowPort } from "../../src/run/index.ts";

/** `away`: it is not reached. `deaf`: it hears, and its answer is lost. */
export type Answer = "admitted" | "waits" | "full" | "away" | "deaf";

interface Place {
  /** What the next words are answered; then the last one again. */
  readonly answers: Answer[];
  readonly told: string[];
}

class Queues {
  readonly #places = new Map<string, Place>();

  /** To be called before the run starts. */
  holds(run: string, ...answers: Answer[]): void {
    this.#places.set(run, { answers, told: [] });
  }

  /** From here on, whatever was said before. */
  says(run: string, ...answers: Answer[]): void {
    this.#of(run).answers.splice(0, Infinity, ...answers);
  }

  /** What reached the queue of this run: `waits 1`, `over 1`. */
  told(run: string): readonly string[] {
    return this.#of(run).told;
  }

  /** @param house for runs of which no test has said anything */
  port(house: FlowPort | undefined): FlowPort {
    return {
      enqueue: async (queued) => {
        if (!this.#places.has(queued.run)) return (await house?.enqueue(queued)) ?? { admitted: true };
        const answer = this.#hear(queued.run, `waits ${queued.generation}`);
        return { admitted: answer === "admitted", full: answer === "full" };
      },
      release: async (tenant, workflow, run, generation) => {
        if (this.#places.has(run)) this.#hear(run, `over ${generation}`);
        else await house?.release(tenant, workflow, run, generation);
      },
    };
  }

  #of(run: string): Place {
    const place = this.#places.get(run);
    if (place === undefined) throw new Error(`no test has put ${run} into a queue`);
    return place;
  }

  #hear(run: string, word: string): Answer {
    const { answers, told } = this.#of(run);
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? "waits";
    if (answer !== "away") told.push(word);
    if (answer === "away" || answer === "deaf") throw new Error("the queue is away");
    return answer;
  }
}

export const queues = new Queues();
