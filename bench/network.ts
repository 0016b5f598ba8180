import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Stands before a server, so that one client of it can be cut off. */
export class Gate {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((near) => this.#relay(near));
  #open = true;

  private constructor(private readonly target: URL) {}

  static async before(url: string): Promise<{ gate: Gate; url: string }> {
    const gate = new Gate(new URL(url));
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    const through = new URL(url);
    through.port = String((gate.#server.address() as AddressInfo).port);
    return { gate, url: through.toString() };
  }

  cut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #relay(near: Socket): void {
    if (!this.#open) {
      near.destroy();
      return;
    }
    const far = connect(Number(this.target.port), this.target.hostname);
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
    }
  }
}

const REDIS_ATTEMPTS_MAX = 200;

/** Null where there is no redis-server on this machine. */
export async function startRedis(): Promise<{ url: string; stop(): void } | null> {
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', ''];
  const child = spawn('redis-server', options, { stdio: 'ignore' });
  // Without a listener, a program that is not there would end this one.
  child.once('error', () => undefined);
  if (child.pid === undefined) return null;
  for (let attempt = 0; attempt < REDIS_ATTEMPTS_MAX; attempt += 1) {
    if (await accepts(port)) {
      return { url: `redis://127.0.0.1:${port}`, stop: () => void child.kill('SIGKILL') };
    }
    await delay(25);
  }
  child.kill('SIGKILL');
  return null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
