/** Reads a body with a limit. The count is of bytes as they come out of the stream: after decompression. */

export type BoundedBody =
  | { readonly kind: "complete"; readonly bytes: Uint8Array }
  | { readonly kind: "too_large" };

/**
 * Reads a stream to its end, or cancels it as soon as more than `maxBytes` have come.
 * Rejects with the stream's error, or with the signal's reason once that is aborted.
 */
export async function readBounded(
  stream: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<BoundedBody> {
  if (stream === null) return { kind: "complete", bytes: new Uint8Array() };
  const reader = stream.getReader();
  // Cancelling is what ends a read that waits: a stream made by other code need not know about the signal.
  const cancel = (): void => void reader.cancel(signal?.reason).catch(() => undefined);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return { kind: "complete", bytes: concat(chunks, size) };
      size += value.byteLength;
      if (size > maxBytes) {
        cancel();
        return { kind: "too_large" };
      }
      chunks.push(value);
    }
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
