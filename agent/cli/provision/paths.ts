import { existsSync } from 'node:fs';
import type { Config } from '../../config/schema.ts';
import { secretPath } from '../../config/secret-path.ts';
import { ProvisionError } from '../../lib/errors.ts';

/** Where a sensor's identity lies. What has no certificate yet waits beside what is in force. */
export interface IdentityPaths {
  readonly key: string;
  readonly certificate: string;
  readonly authority: string;
  /** A key whose certificate has not come yet, and the request for it. */
  readonly waitingKey: string;
  readonly request: string;
}

/**
 * As the configuration names them, otherwise as in the example. Throws a ProvisionError if one file is named for two
 * purposes.
 */
export function identityPaths({ keyFile, certFile, caFile }: Config['mqtt']): IdentityPaths {
  const key = secretPath(keyFile ?? 'sensor.key');
  const certificate = secretPath(certFile ?? 'sensor.pem');
  const authority = secretPath(caFile ?? 'ca.pem');
  const twice = [key, certificate, authority].find((path, at, all) => all.indexOf(path) !== at);
  if (twice !== undefined)
    throw new ProvisionError(
      `Expected three different files for mqtt.keyFile, mqtt.certFile and mqtt.caFile, got ${twice} twice`,
      'name them for instance sensor.key, sensor.pem and ca.pem; otherwise one would overwrite the other',
    );
  return {
    key,
    certificate,
    authority,
    waitingKey: `${key}.new`,
    request: `${key.replace(/\.key$/, '')}.csr`,
  };
}

/** Whether the sensor has a key and its certificate, and no other key waits for one. */
export function isProvisioned({ key, certificate, waitingKey }: IdentityPaths): boolean {
  return existsSync(key) && existsSync(certificate) && !existsSync(waitingKey);
}
