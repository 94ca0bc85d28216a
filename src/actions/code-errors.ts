/**
 * What a step's function can throw, or return, to say more than "it did not work". Anything else that it throws is judged
 * by whether its own `fetch` was called: if not, nothing happened and it is tried again; if so, the step's effect decides.
 */

import type { Duration } from "./durations.ts";

interface ReasonOptions extends ErrorOptions {
  /** A word of your own for programs to switch on. */
  readonly reason?: string;
  /** What to do next. */
  readonly hint?: string;
}

interface WaitOptions extends ReasonOptions {
  /** Earliest time of the next attempt, from now. */
  readonly retryAfter?: Duration;
}

abstract class StepError extends Error {
  readonly reason: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, options: ReasonOptions) {
    super(message, options);
    this.reason = options.reason;
    this.hint = options.hint;
  }
}

/**
 * It did not happen, and would not if it was tried again.
 * @example if (card.expired) throw new Fatal("The card has expired.", { reason: "card_expired" });
 */
export class Fatal extends StepError {
  override readonly name = "Fatal";

  constructor(message: string, options: ReasonOptions = {}) {
    super(message, options);
  }
}

/**
 * Nothing happened, although something was sent: try again, whatever the step's effect.
 * @example if (answer.status === 503) throw new Refused("The desk is closed.", { retryAfter: "5m" });
 */
export class Refused extends StepError {
  override readonly name = "Refused";
  readonly retryAfter: Duration | undefined;

  constructor(message: string, options: WaitOptions = {}) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

/**
 * Try again, but not before this time has passed. Whether something may have happened is judged as for any other throw.
 * @example throw new RetryAfter("30s", "The report is not ready.");
 */
export class RetryAfter extends StepError {
  override readonly name = "RetryAfter";
  readonly retryAfter: Duration;

  constructor(
    retryAfter: Duration,
    message = "The step asked to be tried again later.",
    options: ReasonOptions = {},
  ) {
    super(message, options);
    this.retryAfter = retryAfter;
  }
}

/** What `grow` made: an output, and steps that the run gains with it. */
export class Grown<T> {
  readonly output: T;
  /** By name, as in a JSON plan. */
  readonly steps: unknown;

  constructor(output: T, steps: unknown) {
    this.output = output;
    this.steps = steps;
  }
}
