/** Another site, by another name of loopback: what it frames, posts and links to is cross-site for the browser. */
import { createServer } from "node:http";
import { once } from "node:events";

export interface Neighbour {
  /** Makes a page of the site, and says where it is. */
  page(html: string): string;
  close(): Promise<void>;
}

export async function startNeighbour(): Promise<Neighbour> {
  const pages: string[] = [];
  const server = createServer((req, res) => {
    const html = pages[Number(new URL(req.url ?? "/", "http://localhost").pathname.slice(1))];
    res.writeHead(html === undefined ? 404 : 200, { "content-type": "text/html; charset=utf-8" });
    res.end(html);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a numeric port");
  return {
    page: (html) => `http://localhost:${address.port}/${pages.push(html) - 1}`,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
