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

/** An event is a CloudEvent in structured mode (CloudEvents 1.0.2, MQTT Protocol Binding, 3.2). As docs/asyncapi.json has it. */
export function contentTypeOf(topic: string): string {
  return topic.endsWith('/event') ? 'application/cloudevents+json' : 'application/json';
}

/** Its name at the broker, which ends an older connection of the same name. No `_` is in a site or a sensor: `a-b` and `c` are not `a` and `b-c`. */
export function clientIdOf({ site, sensor }: { readonly site: string; readonly sensor: string }, trial?: 'doctor' | 'selftest'): string {
  return ['tocsin', site, sensor, ...(trial ? [trial] : [])].join('_');
}
