/** Reads a stream of server-sent events (WHATWG HTML, section 9.2.6), as far as the API writes them. */

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/** Longer lines are not ours. */
const MAX_PENDING_CHARS = 8 * 1024 * 1024;

/** Throws if the stream breaks, or has a line without end. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  let fields = noFields();
  for await (const line of linesOf(body)) {
    if (line === "") {
      if (fields.data.length > 0)
        yield { id: fields.id, type: fields.type || "message", data: fields.data.join("\n") };
      fields = { ...noFields(), id: fields.id };
      continue;
    }
    const colon = line.indexOf(":");
    if (colon === 0) continue; // A comment: it keeps the connection alive.
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") fields.data.push(value);
    else if (name === "event") fields.type = value;
    else if (name === "id") fields.id = value;
  }
}

function noFields(): { id: string; type: string; data: string[] } {
  return { id: "", type: "", data: [] };
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    // A carriage return at the end may be the first half of a line's end.
    for (let end = /\r\n|\n|\r(?!$)/.exec(pending); end !== null; end = /\r\n|\n|\r(?!$)/.exec(pending)) {
      yield pending.slice(0, end.index);
      pending = pending.slice(end.index + end[0].length);
    }
    if (pending.length > MAX_PENDING_CHARS) throw new TypeError("The event stream has a line without end.");
  }
}
