// The connection to a home: framed messages over a WebSocket that a ticket opens (controller/files/README.md).
import { post } from "./api.js";

const WORDS = 0x4a;
const DATA = 0x44;
const PIECE = 1 << 16;
const AHEAD = 1 << 20;
let current = null;

/** The connection that is open, or a new one. */
export async function openHome() {
  if (current?.isOpen) return current;
  const { gateway_url: url, ticket } = await post("home/files");
  current = new HomeLink(url, ticket);
  await current.words();
  return current;
}

class HomeLink {
  constructor(url, ticket) {
    this.received = new Uint8Array(0);
    this.messages = [];
    this.waiting = null;
    this.ended = "";
    this.socket = new WebSocket(url, ["binary", `ticket.${ticket}`]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.take(new Uint8Array(data));
    this.socket.onclose = () => { this.ended ||= "The connection to your files broke off. Try again."; this.wake(); };
  }

  get isOpen() { return !this.ended && this.socket.readyState === WebSocket.OPEN; }

  take(data) {
    const all = new Uint8Array(this.received.length + data.length);
    all.set(this.received);
    all.set(data, this.received.length);
    let at = 0;
    while (all.length - at >= 5) {
      const length = new DataView(all.buffer, at).getUint32(0);
      if (all.length - at < 5 + length) break;
      this.messages.push([all[at + 4], all.slice(at + 5, at + 5 + length)]);
      at += 5 + length;
    }
    this.received = all.slice(at);
    this.wake();
  }

  wake() { this.waiting?.(); this.waiting = null; }

  async next() {
    while (!this.messages.length) {
      if (this.ended) throw new Error(this.ended);
      await new Promise((resolve) => { this.waiting = resolve; });
    }
    return this.messages.shift();
  }

  async words() {
    const [kind, content] = await this.next();
    const said = kind === WORDS ? JSON.parse(new TextDecoder().decode(content)) : { ok: false, message: "The host spoke out of turn." };
    if (!said.ok) throw new Error(said.message);
    return said;
  }

  send(kind, content) {
    const message = new Uint8Array(5 + content.length);
    new DataView(message.buffer).setUint32(0, content.length);
    message[4] = kind;
    message.set(content, 5);
    this.socket.send(message);
  }

  ask(request) {
    this.send(WORDS, new TextEncoder().encode(JSON.stringify(request)));
    return this.words();
  }

  async list(path) {
    let said = await this.ask({ op: "list", path });
    const entries = [...said.entries];
    while (said.more === undefined) {
      said = await this.words();
      entries.push(...said.entries);
    }
    return { entries, more: said.more };
  }

  /** The pieces of a file as a blob, which a browser keeps on disk where it is large. */
  async pieces(onProgress) {
    let [blob, some, held, done] = [new Blob(), [], 0, 0];
    for (;;) {
      const [kind, content] = await this.next();
      if (kind !== DATA) {
        const said = JSON.parse(new TextDecoder().decode(content));
        if (!said.ok) throw new Error(said.message);
        return new Blob([blob, ...some]);
      }
      some.push(content);
      held += content.length;
      done += content.length;
      if (held > 8 * AHEAD) [blob, some, held] = [new Blob([blob, ...some]), [], 0];
      onProgress(done);
    }
  }

  async read(path, onProgress) {
    await this.ask({ op: "read", path });
    return this.pieces(onProgress);
  }

  async archive(path, onProgress) {
    await this.ask({ op: "archive", path });
    return this.pieces(onProgress);
  }

  async write(path, file, onProgress) {
    await this.ask({ op: "write", path, size: file.size });
    for (let at = 0; at < file.size; at += PIECE) {
      this.send(DATA, new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
      while (this.socket.bufferedAmount > AHEAD && this.isOpen) await new Promise((resolve) => setTimeout(resolve, 20));
      if (this.messages.length || !this.isOpen) break; // a refusal, or the end
      onProgress(at);
    }
    await this.words();
  }
}
