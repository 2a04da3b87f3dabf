/**
 * Port: one connection to a broker.
 *
 * `publish` resolves when the broker took responsibility (a PUBACK with a reason code below 128; where nobody subscribes to what is not retained, as
 * mqtt.requireSubscriber has it). It rejects with a BrokerError when the broker refuses, the time-out passes or the connection breaks; the message may
 * then have arrived or not, and is to be sent again. `lost` aborts with a BrokerError as its reason when the connection is gone: open another.
 * `close` says goodbye and the broker discards the will, or ends the connection without a word and the broker publishes it.
 */
export interface Publisher {
  publish(topic: string, payload: string, options: { retain: boolean }): Promise<void>;
  readonly lost: AbortSignal;
  close(farewell: boolean): Promise<void>;
}

/** Something that is published beside the events: called with every turn of the courier's loop, over the connection there is. */
export interface Report {
  tick(publisher: Publisher): void;
}

/** Opens a connection, with a will that the broker publishes if it breaks. Rejects with a BrokerError. */
export type OpenPublisher = (will: { topic: string; payload: string }, signal: AbortSignal) => Promise<Publisher>;
