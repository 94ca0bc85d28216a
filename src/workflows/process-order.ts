import * as z from "zod";
import { cloud, workflow } from "../define/index.ts";

/**
 * Checks payment, stock and address, then makes the invoice, stores it and sends a confirmation. Nothing is changed before
 * everything has been checked, so there is nothing to take back.
 */
export const processOrder = workflow("process-order", {
  version: "3",
  description:
    "Validates the payment, checks stock and address side by side, invoices, stores the invoice and confirms.",
  input: () =>
    z.strictObject({
      customer: z.strictObject({ name: z.string().min(1), email: z.email() }),
      sku: z.string().min(1),
      quantity: z.int().min(1).max(1_000).default(1),
      payment_method: z.string().min(1),
      amount: z.int().min(1),
      currency: z.string().length(3).default("EUR"),
      address: z.strictObject({
        street: z.string().min(1),
        city: z.string().min(1),
        postcode: z.string().min(1),
        country: z.string().length(2),
      }),
    }),
})
  // The service takes a POST to ask a question. Asking twice does no harm, so the step says that it is `safe`.
  .step("payment", {
    effect: "safe",
    http: {
      method: "POST",
      url: "https://api.pay.example/payment-methods/validate",
      auth: { bearer: "PAY_TOKEN" },
      json: ({ input }) => ({ payment_method: input.payment_method }),
      answer: z.looseObject({ valid: z.boolean(), reason: z.string().optional() }),
    },
  })
  .step("declined", {
    needs: ["payment"],
    when: ({ steps }) => !steps.payment.output.body.valid,
    fail: ({ steps }) => ({
      message: "The payment method cannot be used.",
      reason: steps.payment.output.body.reason ?? "declined",
      hint: "Ask the customer for another payment method, and start another order.",
    }),
  })

  // Side by side. Each has a step behind it that ends the run where the answer is no good.
  .step("stock", {
    needs: ["payment"],
    http: {
      method: "GET",
      url: ({ input }) => `https://api.shop.example/stock/${encodeURIComponent(input.sku)}`,
      query: ({ input }) => ({ quantity: input.quantity }),
      auth: { bearer: "SHOP_TOKEN" },
      answer: z.looseObject({ available: z.int(), in_stock: z.boolean() }),
    },
  })
  .step("out_of_stock", {
    needs: ["stock"],
    when: ({ steps }) => !steps.stock.output.body.in_stock,
    fail: ({ input, steps }) => ({
      message: `Only ${steps.stock.output.body.available} of ${input.sku} are left.`,
      reason: "out_of_stock",
    }),
  })
  .step("address", {
    needs: ["payment"],
    effect: "safe",
    http: {
      method: "POST",
      url: "https://api.shop.example/addresses/check",
      auth: { bearer: "SHOP_TOKEN" },
      json: ({ input }) => input.address,
      answer: z.looseObject({ deliverable: z.boolean() }),
    },
  })
  .step("undeliverable", {
    needs: ["address"],
    when: ({ steps }) => !steps.address.output.body.deliverable,
    fail: { message: "Nobody delivers to this address.", reason: "undeliverable" },
  })

  // Goes on once nothing speaks against it: a step that was skipped has settled, too.
  .step("invoice", {
    needs: ["declined", "out_of_stock", "undeliverable"],
    join: "settled",
    effect: "keyed",
    retry: { attempts: 6, initial: "500ms" },
    http: {
      method: "POST",
      url: "https://api.shop.example/invoices",
      auth: { bearer: "SHOP_TOKEN" },
      json: ({ input }) => ({
        customer: input.customer.name,
        amount: input.amount,
        currency: input.currency,
      }),
      answer: z.looseObject({ id: z.string() }),
    },
  })
  // By an AWS role that trusts this workflow: no key of the store is kept anywhere. To store it twice is to store it once.
  .step("archive", {
    needs: ["invoice"],
    http: {
      method: "PUT",
      url: ({ steps }) =>
        `https://invoices.s3.eu-central-1.amazonaws.com/${encodeURIComponent(steps.invoice.output.body.id)}.json`,
      auth: cloud("invoices-writer"),
      json: ({ input, steps, key }) => ({
        reference: key,
        invoice: steps.invoice.output.body.id,
        customer: input.customer.name,
        amount: input.amount,
        currency: input.currency,
      }),
      keep: { headers: ["etag"], body: "none" },
    },
  })
  .step("confirmation", {
    needs: ["archive"],
    effect: "keyed",
    http: {
      method: "POST",
      url: "https://api.mail.example/messages",
      auth: { bearer: "MAIL_TOKEN" },
      json: ({ input, steps }) => ({
        to: input.customer.email,
        subject: `Your order of ${input.quantity} × ${input.sku}`,
        text: `Thank you. Your invoice is ${steps.invoice.output.body.id}.`,
      }),
    },
  })

  .output(({ steps }) => ({ invoice: steps.invoice.output.body.id }));
