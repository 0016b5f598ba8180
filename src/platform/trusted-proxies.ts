import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

const ANSWERS_KEPT_MAX = 1_000;

/** Whose `x-forwarded-*` headers are believed. Throws on an address that is none. */
export class TrustedProxies {
  private readonly ranges: readonly Range[];
  private readonly answers = new Map<string, boolean>();

  constructor(addresses: readonly string[]) {
    this.ranges = addresses.map(rangeOf);
  }

  /** Whether the call came to a trusted proxy over https. */
  saysHttps(req: IncomingMessage): boolean {
    return (
      req.headers['x-forwarded-proto'] === 'https' && this.trusts(req.socket.remoteAddress ?? '')
    );
  }

  trusts(address: string): boolean {
    const known = this.answers.get(address);
    if (known !== undefined) return known;
    const answer = this.isInRange(address);
    if (this.answers.size >= ANSWERS_KEPT_MAX) this.answers.clear();
    this.answers.set(address, answer);
    return answer;
  }

  private isInRange(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return this.ranges.some(
      ([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits),
    );
  }
}

/** `10.0.0.1`, `10.0.0.0/8`, and the same of IPv6. */
export function isAddressOrRange(text: string): boolean {
  try {
    rangeOf(text);
    return true;
  } catch {
    return false;
  }
}

function rangeOf(address: string): Range {
  return address.includes('/') ? ipaddr.parseCIDR(address) : single(ipaddr.process(address));
}

function single(address: ipaddr.IPv4 | ipaddr.IPv6): Range {
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** Loopback alone may read what is meant for the machine's own operator. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined || !ipaddr.isValid(address)) return false;
  return ipaddr.process(address).range() === 'loopback';
}
