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
