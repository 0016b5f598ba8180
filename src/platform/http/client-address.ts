import ipaddr from 'ipaddr.js';

const NETWORK_HEXTETS = 4;

/**
 * What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, of which anybody has one to choose
 * addresses from. Takes the address that the framework found behind trusted proxies (`request.ip`).
 */
export function clientAddressOf({ ip }: { readonly ip: string }): string {
  if (!ipaddr.isValid(ip)) return 'unknown';
  const address = ipaddr.process(ip);
  if (address instanceof ipaddr.IPv4) return address.toString();
  const network = address.parts.slice(0, NETWORK_HEXTETS).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}
