import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** While it ends, connections that have fallen idle are closed this often. */
const SWEEP_MS = 100;

/** The operators' own listener. */
export class AdminListener {
  constructor(private readonly server: Server) {}

  /** Resolves with the port. */
  async listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    const { server } = this;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return (server.address() as AddressInfo).port;
  }

  /** Takes nothing new; what is under way has this long to end. */
  async close(drainMsMax: number): Promise<void> {
    const { server } = this;
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const sweeping = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    const cutting = setTimeout(() => server.closeAllConnections(), drainMsMax);
    await closed;
    clearInterval(sweeping);
    clearTimeout(cutting);
  }
}
