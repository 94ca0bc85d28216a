import * as z from "zod";
import { connection, workflow, type CodeTools } from "../define/index.ts";

// What the services answer, as far as we use it. An answer that is different fails its step, and says where.
const Booking = z.object({ id: z.string(), status: z.string(), price: z.number(), currency: z.string() });
const Events = z.object({ items: z.array(z.object({ title: z.string() })) });
const Listed = z.object({ items: z.array(z.looseObject({ id: z.string() })) });

// What the traveller has lent: access to their calendar, through the integration of this name. Nobody here sees a token.
const reads = connection("agenda", { scopes: ["calendar.read"] });
const writes = connection("agenda", { scopes: ["calendar.write"] });

/**
 * Books a flight and a hotel side by side, and tells the traveller. If one of them cannot be had, the other is taken
 * back, and the traveller gets a call.
 */
export const bookTrip = workflow("book-trip", {
  version: "1",
  description:
    "Looks into the traveller's calendar, books flight and hotel side by side, enters the trip, and mails a confirmation.",
  // What a run needs before it can end: a start can ask for it, and everybody can read it.
  connections: { agenda: { scopes: ["calendar.read", "calendar.write"] } },
  // Strict: a field that is not known is refused, so that a typing error is not taken for a wish.
  input: () =>
    z.strictObject({
      traveller: z.strictObject({ name: z.string().min(1), email: z.email(), phone: z.string().min(1) }),
      from: z.string().min(1),
      to: z.string().min(1),
      date: z.iso.date(),
      nights: z.int().min(1).max(60).default(1),
    }),
})
  // A step can be an action: here one HTTP request. GET is `safe`, so it is simply tried again when it fails.
  .step("calendar", {
    http: {
      method: "GET",
      url: "https://api.calendar.example/events",
      query: ({ input }) => ({ day: input.date }),
      // A credential is named, never written down: here the user's own. If there is none (any more), the step waits, and
      // the run shows a link with which the user consents.
      auth: reads,
      answer: Events,
    },
  })

  // Two steps that need the same step run side by side. `keyed` sends an idempotency key, the same with every attempt:
  // an answer that was lost on the way never books a second seat.
  .step("flight", {
    needs: ["calendar"],
    effect: "keyed",
    retry: { attempts: 6, initial: "500ms" },
    timeout: "10s",
    http: {
      method: "POST",
      url: "https://api.skyline.example/bookings",
      // This one is the deployment's own: a secret, which is sent to that host only.
      auth: { bearer: "SKYLINE_TOKEN" },
      json: ({ input }) => ({
        from: input.from,
        to: input.to,
        date: input.date,
        traveller: input.traveller.name,
      }),
      answer: Booking,
    },
    // Asked when nobody can tell whether the flight was booked: the airline finds bookings by their key.
    verify: {
      http: {
        method: "GET",
        url: "https://api.skyline.example/bookings",
        query: ({ stepKey }) => ({ reference: stepKey }),
        auth: { bearer: "SKYLINE_TOKEN" },
        answer: z.object({ items: z.array(Booking) }),
      },
      happened: ({ status, headers, body }) => {
        const booking = body?.items[0];
        return booking === undefined
          ? { happened: false }
          : { happened: true, output: { status, headers, body: booking } };
      },
    },
    // Runs if the trip is lost after all.
    compensate: {
      effect: "idempotent",
      run: (context) =>
        takeBack(
          context,
          "https://api.skyline.example/bookings",
          { bearer: "SKYLINE_TOKEN" },
          context.own?.body.id,
        ),
    },
  })

  // A step can also be a function. It has the whole language, but it must say what repeating it means.
  .step("hotel", {
    needs: ["calendar"],
    effect: "keyed",
    retry: { attempts: 6, initial: "500ms" },
    timeout: "10s",
    run: async ({ input, key, fetch, expectOk }) => {
      const answer = await fetch("https://api.harbour.example/reservations", {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify({
          city: input.to,
          date: input.date,
          nights: input.nights,
          guest: input.traveller.name,
        }),
        auth: { bearer: "HARBOUR_TOKEN" },
      });
      return Booking.parse(await (await expectOk(answer)).json());
    },
    verify: {
      run: async ({ stepKey, fetch, expectOk }) => {
        const url = `https://api.harbour.example/reservations?reference=${encodeURIComponent(stepKey)}`;
        const answer = await expectOk(await fetch(url, { auth: { bearer: "HARBOUR_TOKEN" } }));
        const [reservation] = z.object({ items: z.array(Booking) }).parse(await answer.json()).items;
        return reservation === undefined ? { happened: false } : { happened: true, output: reservation };
      },
    },
    compensate: {
      effect: "idempotent",
      run: (context) =>
        takeBack(
          context,
          "https://api.harbour.example/reservations",
          { bearer: "HARBOUR_TOKEN" },
          context.own?.id,
        ),
    },
  })

  // Runs when both are booked. Should the user have taken their consent back meanwhile, it waits for another one: what is
  // booked stays booked, and is not booked again.
  .step("entry", {
    needs: ["flight", "hotel"],
    effect: "keyed",
    http: {
      method: "POST",
      url: "https://api.calendar.example/events",
      auth: writes,
      json: ({ input }) => ({ day: input.date, title: `Trip to ${input.to}`.slice(0, 200) }),
      answer: z.object({ id: z.string() }),
    },
    compensate: {
      effect: "idempotent",
      connections: [writes],
      run: (context) =>
        takeBack(context, "https://api.calendar.example/events", writes, context.own?.body.id),
    },
  })

  // It sees what it needs, and what that needs. So `steps.flight.output` is there: the compiler knows.
  .step("confirmation", {
    needs: ["entry"],
    effect: "keyed",
    http: {
      method: "POST",
      url: "https://api.mail.example/messages",
      auth: { bearer: "MAIL_TOKEN" },
      json: ({ input, steps }) => ({
        to: input.traveller.email,
        subject: `Your trip to ${input.to} on ${input.date}`,
        text: [
          `Flight: ${steps.flight.output.body.id}. Hotel: ${steps.hotel.output.id}.`,
          ...steps.calendar.output.body.items.map((event) => `Mind your calendar: ${event.title}.`),
        ].join("\n"),
      }),
    },
  })

  // Runs if the trip is lost, after flight and hotel were taken back. Nobody wants to be called twice: `once` is never
  // repeated blindly, and the verify finds out whether the call was made.
  .onFailure("voicemail", {
    effect: "once",
    timeout: "10s",
    http: {
      method: "POST",
      url: "https://api.voice.example/calls",
      auth: { bearer: "VOICE_TOKEN" },
      headers: ({ key }) => ({ "x-reference": key }),
      json: ({ input, failure }) => ({
        to: input.traveller.phone,
        text: `Your trip to ${input.to} could not be booked. ${failure.message}`,
      }),
    },
    verify: {
      http: {
        method: "GET",
        url: "https://api.voice.example/calls",
        query: ({ stepKey }) => ({ reference: stepKey }),
        auth: { bearer: "VOICE_TOKEN" },
        answer: z.object({ items: z.array(z.looseObject({ id: z.string() })) }),
      },
      happened: ({ status, headers, body }) => {
        const call = body?.items[0];
        return call === undefined
          ? { happened: false }
          : { happened: true, output: { status, headers, body: { id: call.id } } };
      },
    },
  })

  .output(({ steps }) => {
    const flight = steps.flight.output.body;
    const hotel = steps.hotel.output;
    return {
      flight: flight.id,
      hotel: hotel.id,
      total: flight.price + hotel.price,
      currency: flight.currency,
    };
  });

/** Deletes what a step booked. If it is not known what, or whether, the service is asked by the step's key. */
async function takeBack(
  { stepKey, fetch, expectOk }: CodeTools & { readonly stepKey: string },
  collection: string,
  auth: { readonly bearer: string } | ReturnType<typeof connection>,
  known: string | undefined,
): Promise<void> {
  const found = async (): Promise<string[]> => {
    const url = `${collection}?reference=${encodeURIComponent(stepKey)}`;
    const answer = await expectOk(await fetch(url, { auth }));
    return Listed.parse(await answer.json()).items.map(({ id }) => id);
  };
  for (const id of known === undefined ? await found() : [known])
    // Gone already is as good as deleted.
    await expectOk(
      await fetch(`${collection}/${encodeURIComponent(id)}`, { method: "DELETE", auth }),
      [404, 410],
    );
}
