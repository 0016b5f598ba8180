import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Stands between a pool and its server, to take the network away: refusing, or silent. */
export class TcpGate {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #mode: 'open' | 'cut' | 'frozen' = 'open';

  private constructor(server: Server, target: URL) {
    this.#server = server;
    server.on('connection', (socket) => this.#relay(socket, target));
    const url = new URL(target);
    url.port = String((server.address() as AddressInfo).port);
    this.url = url.toString();
  }

  static async to(url: string): Promise<TcpGate> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TcpGate(server, new URL(url));
  }

  open(): void {
    this.#mode = 'open';
    for (const socket of this.#sockets) socket.resume();
  }

  /** Ends every connection and refuses new ones. */
  cut(): void {
    this.#mode = 'cut';
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Keeps every connection, passes nothing. */
  freeze(): void {
    this.#mode = 'frozen';
    for (const socket of this.#sockets) socket.pause();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(near: Socket, target: URL): void {
    if (this.#mode === 'cut') {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    for (const [socket, peer] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('data', (chunk) => peer.write(chunk));
      socket.on('error', () => peer.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        peer.destroy();
      });
      if (this.#mode === 'frozen') socket.pause();
    }
  }
}
