import type { LinkFault } from './faults.ts';

/** An error a person can act on: `message` says what was expected and what came, `tryHint` what to do next. */
export class TocsinError extends Error {
  readonly tryHint: string;
  readonly exitCode: number;
  constructor(message: string, tryHint: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.tryHint = tryHint;
    this.exitCode = exitCode;
  }
}

/** Whether the error, or one of its causes, is that the system denied this user access. */
export function isDenied(error: unknown): boolean {
  return hasCode(error, /^(EACCES|EPERM)$/);
}

/** Whether the disk, or this user's quota, is full. SHMSIZE: no room for the shared memory of a write-ahead log. */
export function isFull(error: unknown): boolean {
  return hasCode(error, /^(ENOSPC|EDQUOT|SQLITE_FULL|SQLITE_IOERR_SHMSIZE)$/);
}

/** Whether the disk could not read or write a block, or the kernel something of its own. */
export function isUnreadable(error: unknown): boolean {
  return hasCode(error, /^EIO$/);
}

/** Fits a file that `isUnreadable`. */
export const unreadableHint = 'start it again; if that does not help, the disk is failing (sudo dmesg | tail): put the file back, or replace the card';

/** Exit codes are part of the CLI's contract: see docs/cli.md. */
export const exitCodes = {
  failure: 1,
  usage: 2,
  config: 3,
  audio: 4,
  model: 5,
  outbox: 6,
  broker: 7,
  check: 8,
  unchecked: 9,
  identity: 10,
  stopped: 130,
  unread: 141,
} as const;

export class ConfigError extends TocsinError {
  /** One entry for each problem in the file; the message if the file could not be read at all. */
  readonly problems: readonly string[];
  constructor(message: string, tryHint: string, options?: ErrorOptions & { readonly problems?: readonly string[] }) {
    super(message, tryHint, exitCodes.config, options);
    this.problems = options?.problems ?? [message];
  }
}
/** Sound is not available: no such file, no such microphone, or it fell silent. */
export class AudioError extends TocsinError {
  constructor(message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, exitCodes.audio, options);
  }
}
export class ModelError extends TocsinError {
  constructor(message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, exitCodes.model, options);
  }
}
export class OutboxError extends TocsinError {
  constructor(message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, exitCodes.outbox, options);
  }
}
/** The schema of the outbox refuses what is to be stored, and always will; the disk is not at fault. */
export class UnstorableError extends OutboxError {}
/** The broker refused, did not answer, or is not there. `refused`: sending the same again cannot help by itself. */
export class BrokerError extends TocsinError {
  readonly refused: boolean;
  constructor(message: string, tryHint: string, refused: boolean, options?: ErrorOptions) {
    super(message, tryHint, exitCodes.broker, options);
    this.refused = refused;
  }
}
/** How a connection to the broker ended, or why there was no answer over it: the cause of a BrokerError. */
export class LinkError extends Error {
  readonly fault: LinkFault;
  /** Reason code of the MQTT 5 DISCONNECT, if the broker sent one. */
  readonly reasonCode: number | undefined;
  constructor(fault: LinkFault, message: string, reasonCode?: number) {
    super(message);
    this.name = 'LinkError';
    this.fault = fault;
    this.reasonCode = reasonCode;
  }
}
/**
 * The sensor itself refused to send a message: it does not match the closed schema of its topic, or is larger than the
 * broker says it accepts.
 */
export class UnsentError extends BrokerError {
  constructor(message: string, tryHint: string) {
    super(message, tryHint, true);
  }
}
/** The broker acknowledged a message but said that nobody subscribes to its topic: it keeps it for nobody. */
export class NoSubscriberError extends BrokerError {
  constructor(message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, true, options);
  }
}

/** A sensor's key or certificate is not what it should be; nothing was changed. */
export class ProvisionError extends TocsinError {
  constructor(message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, exitCodes.identity, options);
  }
}

/** A person stopped it (Ctrl-C): neither a fault nor a success. */
export class StoppedError extends TocsinError {
  constructor(message: string, tryHint: string) {
    super(message, tryHint, exitCodes.stopped);
  }
}

/** The text of whatever was thrown; of an AggregateError without a message of its own, the text of each error. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error, or one of its causes, has one of these codes. */
export function hasCode(error: unknown, codes: RegExp): boolean {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return (typeof code === 'string' && codes.test(code)) || (cause !== undefined && hasCode(cause, codes));
}
