/** Where a broker is, from `mqtt.url`. */
interface BrokerAddress {
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  readonly encrypted: boolean;
  /** The broker is on this machine: nothing passes over a network. */
  readonly loopback: boolean;
}

const ports: Record<string, number> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 };

/**
 * Whether there is a host and the port is not 0. Without a host, as in mqtts:///broker, the MQTT client takes this
 * machine; for port 0, a port of its own choice.
 */
export function hasAddress(url: string): boolean {
  const { hostname, port } = URL.parse(url) ?? { hostname: '', port: '' };
  return hostname !== '' && port !== '0';
}

export function brokerAddress(url: string): BrokerAddress {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return {
    host,
    port: Number(port) || (ports[protocol] as number),
    encrypted: protocol === 'mqtts:' || protocol === 'wss:',
    loopback: host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host),
  };
}
