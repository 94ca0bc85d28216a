/** The workflow of the crash tests: every effect, side by side, and a referee behind each step. */
import * as z from "zod";
import { workflow, type CodeTools } from "../../src/define/index.ts";

const AIRLINE = "https://api.skyline.example/bookings";
const HOTEL = "https://api.harbour.example/reservations";
const MAIL = "https://api.mail.example/messages";
const VOICE = "https://api.voice.example/calls";
const PAY = "https://api.pay.example/charges";
const DAY = "2027-03-14";

const Found = z.object({ items: z.array(z.looseObject({ id: z.string() })) });

/** The services fail often: whoever gives up early would test giving up. */
const retry = { attempts: 40, initial: "100ms", cap: "1s", jitter: "equal" } as const;
/** Shorter than the time after which a run that nobody asks about is given up as hung, longer than any slow answer. */
const timeout = "4s";
/**
 * Later than any service of the harness is still at work on a request (see `faults` in main.ts): a verify that asks
 * earlier hears "no" of something that is about to happen.
 */
const after = "2500ms";

/**
 * The name of a step's effect, beside its key: a key that is not the same with every attempt would not tell the referee
 * that the effect is.
 */
function named(unit: string) {
  return ({ run }: { readonly run: { readonly id: string } }) => ({ "x-reference": `${run.id}.${unit}` });
}

/** Asks a collection for what carries the step's key. */
async function lookUp(
  { fetch, expectOk, stepKey }: CodeTools & { readonly stepKey: string },
  url: string,
  bearer: string,
) {
  const answer = await fetch(`${url}?reference=${encodeURIComponent(stepKey)}`, { auth: { bearer } });
  return Found.parse(await (await expectOk(answer)).json()).items;
}

async function takeBack(
  context: CodeTools & { readonly stepKey: string },
  url: string,
  bearer: string,
): Promise<void> {
  for (const { id } of await lookUp(context, url, bearer))
    await context.expectOk(
      await context.fetch(`${url}/${id}`, { method: "DELETE", auth: { bearer } }),
      [404, 410],
    );
}

export const hammer = workflow("hammer", {
  version: "1",
  input: z.object({ fails: z.boolean() }),
})
  .step("look", {
    retry,
    timeout,
    http: { method: "GET", url: AIRLINE, auth: { bearer: "SKYLINE_TOKEN" }, keep: { body: "none" } },
  })

  .step("flight", {
    needs: ["look"],
    effect: "keyed",
    retry,
    timeout,
    http: {
      method: "POST",
      url: AIRLINE,
      auth: { bearer: "SKYLINE_TOKEN" },
      headers: named("flight"),
      json: { from: "LHR", to: "ZRH", date: DAY, traveller: "Ada" },
    },
    compensate: {
      effect: "idempotent",
      retry,
      timeout,
      run: (context) => takeBack(context, AIRLINE, "SKYLINE_TOKEN"),
    },
  })
  .step("room", {
    needs: ["look"],
    effect: "keyed",
    retry,
    timeout,
    run: async ({ run, key, fetch, expectOk }) => {
      const answer = await fetch(HOTEL, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key, ...named("room")({ run }) },
        body: JSON.stringify({ city: "Zurich", date: DAY, nights: 1, guest: "Ada" }),
        auth: { bearer: "HARBOUR_TOKEN" },
      });
      return z.object({ id: z.string() }).parse(await (await expectOk(answer)).json()).id;
    },
    compensate: {
      effect: "idempotent",
      retry,
      timeout,
      run: (context) => takeBack(context, HOTEL, "HARBOUR_TOKEN"),
    },
  })
  .step("call", {
    needs: ["look"],
    effect: "once",
    retry,
    timeout,
    http: {
      method: "POST",
      url: VOICE,
      auth: { bearer: "VOICE_TOKEN" },
      headers: ({ key }) => ({ "x-reference": key }),
      json: { to: "+41 44 000 00 00", text: "Your room is being booked." },
    },
    verify: {
      after,
      retry,
      timeout,
      http: {
        method: "GET",
        url: VOICE,
        query: ({ stepKey }) => ({ reference: stepKey }),
        auth: { bearer: "VOICE_TOKEN" },
        answer: Found,
      },
      happened: ({ body }) =>
        body?.items[0] === undefined
          ? { happened: false }
          : { happened: true, output: { status: 201, headers: {}, body: null } },
    },
  })
  .step("charge", {
    needs: ["look"],
    effect: "once",
    retry,
    timeout,
    run: async ({ key, fetch, expectOk }) => {
      const answer = await fetch(PAY, {
        method: "POST",
        headers: { "content-type": "application/json", "x-reference": key },
        body: JSON.stringify({ amount: 4_200, currency: "EUR", payment_method: "pm_card" }),
        auth: { bearer: "PAY_TOKEN" },
      });
      return z.object({ id: z.string() }).parse(await (await expectOk(answer)).json()).id;
    },
    verify: {
      after,
      retry,
      timeout,
      run: async (context) => {
        const [charge] = await lookUp(context, PAY, "PAY_TOKEN");
        return charge === undefined ? { happened: false } : { happened: true, output: charge.id };
      },
    },
    compensate: {
      effect: "keyed",
      retry,
      timeout,
      run: async (context) => {
        for (const { id } of await lookUp(context, PAY, "PAY_TOKEN")) {
          const refund = await context.fetch(`${PAY}/${id}/refunds`, {
            method: "POST",
            headers: { "content-type": "application/json", "idempotency-key": context.key },
            body: "{}",
            auth: { bearer: "PAY_TOKEN" },
          });
          await context.expectOk(refund);
        }
      },
    },
  })

  .step("mails", {
    needs: ["flight", "room", "call", "charge"],
    effect: "keyed",
    retry,
    timeout,
    forEach: { list: () => ["ada@mail.example", "bob@mail.example", "eve@mail.example"], concurrency: 2 },
    http: {
      method: "POST",
      url: MAIL,
      auth: { bearer: "MAIL_TOKEN" },
      headers: ({ run, index }) => named(`mails.i${index}`)({ run }),
      json: ({ item }) => ({ to: item, subject: "Booked", text: "Flight and room are booked." }),
    },
  })
  .step("settle", { needs: ["mails"], sleep: "200ms" })
  .step("verdict", {
    needs: ["settle"],
    when: ({ input }) => input.fails,
    fail: "This run was started to be lost at its very end.",
  })
  .step("goodbye", {
    needs: ["settle", "verdict"],
    join: "any",
    effect: "once",
    retry,
    timeout,
    http: {
      method: "POST",
      url: VOICE,
      auth: { bearer: "VOICE_TOKEN" },
      headers: ({ key }) => ({ "x-reference": key }),
      json: { to: "+41 44 000 00 00", text: "Have a good trip." },
    },
    verify: {
      after,
      retry,
      timeout,
      run: async (context) => {
        const [call] = await lookUp(context, VOICE, "VOICE_TOKEN");
        return call === undefined
          ? { happened: false }
          : { happened: true, output: { status: 201, headers: {}, body: call.id } };
      },
    },
  })
  .output(({ steps }) => ({ goodbye: steps.goodbye.status }));
