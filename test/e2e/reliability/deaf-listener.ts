import { once } from 'node:events';
import net from 'node:net';
import { Worker } from 'node:worker_threads';

/** Listens, and never accepts: its thread waits. */
const LISTENER = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const server = createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    // The message leaves before the thread stops.
    setImmediate(() => {
      Atomics.wait(workerData, 0, 0);
      process.exit(0);
    });
  });
`;
/** More than the kernel queues for a backlog of 1: the queue is full for everybody who comes after. */
const FILLERS = 8;

export interface DeafListener {
  readonly port: number;
  close(): Promise<void>;
}

/** A port that does not answer a new connection at all: neither accepted nor refused. */
export async function startDeafListener(): Promise<DeafListener> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(LISTENER, { eval: true, workerData: gate });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers = Array.from({ length: FILLERS }, () => {
    const socket = net.connect(port, '127.0.0.1');
    return socket.on('error', () => undefined);
  });
  await once(fillers[0]!, 'connect');
  return {
    port,
    close: async () => {
      for (const filler of fillers) filler.destroy();
      const over = once(worker, 'exit');
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await over;
    },
  };
}
