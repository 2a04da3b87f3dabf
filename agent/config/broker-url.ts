/** Where a broker is, from `mqtt.url`. */
export interface BrokerAddress {
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  readonly encrypted: boolean;
  /** On this machine: nothing passes a network. */
  readonly loopback: boolean;
}

const ports: Record<string, number> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 };

/** Where there is no host, as in mqtts:///broker, or the port is 0, the MQTT client takes this machine, or a port of its own choice. */
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
