/** XML as AWS and Azure write it. */
import type { Answer } from "../http.ts";

export type Xml = string | number | { readonly [name: string]: Xml } | readonly Xml[];

/** Elements of an object in its order; a list repeats its element. */
export function element(name: string, content: Xml, attributes = ""): string {
  if (Array.isArray(content)) return content.map((one) => element(name, one)).join("");
  const inner =
    typeof content === "object"
      ? Object.entries(content)
          .map(([child, value]) => element(child, value))
          .join("")
      : escapeXml(String(content));
  return `<${name}${attributes}>${inner}</${name}>`;
}

export function xml(status: number, text: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { "content-type": "text/xml", ...headers },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${text}`,
  };
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
