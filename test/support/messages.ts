import { connectAsync, type IClientOptions } from 'mqtt';

interface Message {
  topic: string;
  text: string;
  qos: number;
}

/** Subscribes to everything and collects it; `until` resolves once the condition holds, and rejects after 60 s. */
export async function openMessages(url: string, options: IClientOptions = {}) {
  const client = await connectAsync(url, options);
  const messages: Message[] = [];
  const listeners = new Set<() => void>();
  client.on('message', (topic, payload, { qos }) => {
    messages.push({ topic, text: payload.toString(), qos });
    for (const listener of listeners) listener();
  });
  await client.subscribeAsync('#', { qos: 1 });
  return {
    messages,
    events: () => messages.filter((m) => m.topic.endsWith('/event')).map((m) => JSON.parse(m.text)),
    until(condition: () => boolean): Promise<void> {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`waited 60 s in vain; got ${messages.map((m) => m.topic).join(', ') || 'nothing'}`)), 60_000);
        const check = () => {
          if (!condition()) return;
          clearTimeout(timer);
          listeners.delete(check);
          resolve();
        };
        listeners.add(check);
        check();
      });
    },
    close: () => client.endAsync(true),
  };
}
