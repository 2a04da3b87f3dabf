/** The topics of one sensor, default profile: tocsin/v1/SITE/SENSOR/... */
export function topicsOf(site: string, sensor: string) {
  const root = `tocsin/v1/${site}/${sensor}`;
  return {
    event: `${root}/event`,
    status: `${root}/status`,
    health: `${root}/health`,
    summary: `${root}/summary`,
    gap: `${root}/gap`,
    selftest: `${root}/selftest`,
    privacy: `${root}/privacy`,
  } as const;
}

/**
 * The content type, as in docs/asyncapi.json. An event is a CloudEvent in structured mode (CloudEvents 1.0.2, MQTT,
 * 3.2).
 */
export function contentTypeOf(topic: string): string {
  return topic.endsWith('/event') ? 'application/cloudevents+json' : 'application/json';
}

/**
 * The client identifier; a broker ends an older connection with the same one. Neither site nor sensor contains `_`, so
 * that `a-b` and `c` differ from `a` and `b-c`.
 */
export function clientIdOf({ site, sensor }: { readonly site: string; readonly sensor: string }, trial?: 'doctor' | 'selftest'): string {
  return ['tocsin', site, sensor, ...(trial ? [trial] : [])].join('_');
}
