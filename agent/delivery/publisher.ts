/**
 * Port: one connection to a broker.
 *
 * `publish` resolves when the broker has taken responsibility: a PUBACK with a reason code below 128, and with
 * `mqtt.requireSubscriber` not code 16 (no subscriber), unless the message is retained. It rejects with a BrokerError
 * when the broker refuses, the time-out passes or the connection breaks. The message may then have arrived or not; send
 * it again. `lost` aborts with a BrokerError as its reason when the connection is gone: open another. `close(true)`
 * sends DISCONNECT and the broker discards the will; `close(false)` just ends the connection and the broker publishes
 * the will.
 */
export interface Publisher {
  publish(topic: string, payload: string, options: { retain: boolean }): Promise<void>;
  readonly lost: AbortSignal;
  close(farewell: boolean): Promise<void>;
}

/** Something that is published beside the events. `tick` is called at every turn of the courier's loop. */
export interface Report {
  tick(publisher: Publisher): void;
}

/** Opens a connection, with a will that the broker publishes if it breaks. Rejects with a BrokerError. */
export type OpenPublisher = (will: { topic: string; payload: string }, signal: AbortSignal) => Promise<Publisher>;
