import { dirname } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { secretPath } from '../../config/secrets.ts';

/** Where a sensor's identity lies. What has no certificate yet waits beside what is in force. */
export interface IdentityPaths {
  readonly folder: string;
  readonly key: string;
  readonly certificate: string;
  readonly authority: string;
  /** A key whose certificate has not come yet, and the request for it. */
  readonly waitingKey: string;
  readonly request: string;
}

/** As the configuration names them, or by the names of the example where it names none. */
export function identityPaths({ keyFile, certFile, caFile }: Config['mqtt']): IdentityPaths {
  const key = secretPath(keyFile ?? 'sensor.key');
  return {
    folder: dirname(key),
    key,
    certificate: secretPath(certFile ?? 'sensor.pem'),
    authority: secretPath(caFile ?? 'ca.pem'),
    waitingKey: `${key}.new`,
    request: `${key.replace(/\.key$/, '')}.csr`,
  };
}
